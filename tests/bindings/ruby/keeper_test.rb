# frozen_string_literal: true

# Services of a keeper: starts, restarts, readiness, reload, and the stop.

require_relative "keeper_support"

class KeeperServicesTest < KeeperTest
  def test_a_service_that_ends_is_started_again_after_growing_delays
    reader, writer = line
    keeper = open_keeper do |k|
      k.service(:counter, first_delay: 0.01, growth: 2, jitter: -1) { writer.puts(now) }
    end
    starts = Array.new(4) { reader.readline.to_f }
    pauses = starts.each_cons(2).map { |before, after| after - before }
    pauses.zip([0.01, 0.02, 0.04]).each { |pause, delay| assert_operator pause, :>=, delay }
    assert_operator keeper[:counter].restarts, :>=, 3
    change = until_event(keeper, :counter, :ended)
    assert_equal [0, :none, nil], [change.exit_info.code, change.why, change.error]
  end

  def test_a_service_is_restarted_as_its_rule_says
    keeper = open_keeper do |k|
      k.service(:never, restart: :never, **QUICK) { exit 1 }
      k.service(:failed, restart: :on_failure, args: -> { [keeper_starts] }, **QUICK) { |start| exit(start < 3 ? 1 : 0) }
      k.program(:program, ["true"], restart: :on_failure)
    end
    assert_same keeper, keeper.wait_ready
    assert_nil keeper.wait
    assert_predicate keeper, :stopped?
    assert_equal [0, 2, 0], %i[never failed program].map { |name| keeper[name].restarts }
    assert_equal [1, 0, 0], %i[never failed program].map { |name| keeper[name].exit_info.code }
    assert_equal %i[never program failed].sort, history(keeper, :finished).map(&:first).sort
    assert_equal [nil, :finished, :none], [keeper[:never].pid, keeper[:never].state, keeper[:never].why]
    assert_raises(Gipc::Dead) { keeper.reload(:never) }
    assert_raises(Gipc::Dead) { keeper.signal(:never, :USR1) }
    assert_nil keeper.stop
  end

  def keeper_starts = @keeper_starts = (@keeper_starts || 0) + 1

  def test_a_service_that_ends_too_often_is_given_up
    keeper = open_keeper do |k|
      k.service(:steady, **QUICK) { sleep }
      k.service(:broken, limit: 2, stderr: :pipe, **QUICK) do
        warn "no database"
        exit 3
      end
    end
    error = assert_raises(Gipc::GaveUp) { keeper.wait }
    assert_equal [:broken, 3, :none, ["no database\n"]], [error.service, error.exit_info.code, error.why, error.stderr]
    assert_match(/service broken is given up: process #{error.pid} ended with code 3/, error.message)
    assert_equal [:ready, :gave_up], keeper.services.map(&:state)
    assert_equal [2, ["no database\n"]], [keeper[:broken].restarts, keeper[:broken].stderr]
    change = until_event(keeper, :broken, :gave_up)
    assert_equal [error.pid, 3], [change.pid, change.exit_info.code]
    assert_raises(Gipc::GaveUp) { keeper.wait(timeout: 0) }
    assert_nil keeper.stop
    assert_raises(Gipc::GaveUp) { keeper.wait }
  end

  def test_a_service_that_cannot_be_started_is_given_up
    keeper = open_keeper do |k|
      k.program(:absent, ["/nonexistent/program"], limit: 1, notify: true, **QUICK)
      k.service(:argument, args: -> { raise "no args" }, limit: 1, **QUICK) { nil }
    end
    errors = changes(keeper, 2, state: :gave_up).map(&:error)
    assert_equal [Errno::ENOENT, RuntimeError], errors.map(&:class)
    assert_equal errors, keeper.services.map(&:error)
    assert_equal 4, changes(keeper, 4, state: :not_started).size
    assert_raises(Gipc::GaveUp) { keeper.wait_ready }
    error = assert_raises(Gipc::GaveUp) { keeper.wait }
    assert_match(%r{absent is given up: it could not be started: .*/nonexistent/program}, error.message)
    assert_equal [nil, nil, :none], [error.pid, error.exit_info, error.why]
  end

  def test_a_service_starts_when_those_before_it_are_ready
    reader, writer = line
    keeper = open_keeper do |k|
      k.service("first", notify: true, **QUICK) do
        reader.readline
        Gipc.ready
        sleep
      end
      k.service(:second, **QUICK) { sleep }
    end
    until_event(keeper, :first, :starting)
    assert_equal %i[starting waiting], keeper.services.map(&:state)
    [keeper.method(:wait), keeper.method(:wait_ready)].each do |wait|
      assert_raises(Gipc::Timeout) { wait.call(timeout: 0) }
    end
    all = waiting { keeper.wait_ready }
    writer.puts
    assert_same keeper, all.value
    assert_equal %i[ready ready], keeper.services.map(&:state)
    keeper.stop
    assert_equal [[:first, :starting], [:first, :ready], [:second, :starting], [:second, :ready],
                  [:second, :stopping], [:second, :ended], [:first, :stopping], [:first, :ended]], history(keeper)
    assert_raises(Gipc::Closed) { keeper.wait_ready }
    assert_equal [15, :stopped, :stopped], [keeper["second"].exit_info.signal, keeper[:second].why, keeper[:second].state]
  end

  def test_a_service_that_is_not_ready_in_time_is_stopped
    keeper = open_keeper { |k| k.service(:slow, notify: true, ready_within: 0.01, limit: 1, **QUICK) { sleep } }
    error = assert_raises(Gipc::GaveUp) { keeper.wait }
    assert_equal [:not_ready, 15], [error.why, error.exit_info.signal]
    assert_match(/was not ready in time/, error.message)
  end

  def test_a_reload_starts_the_new_process_before_the_old_one_stops
    keeper = open_keeper do |k|
      k.service(:web, notify: true, args: -> { [keeper_starts] }, **QUICK) do |start|
        Gipc.ready unless start == 3
        start == 3 ? exit(1) : sleep
      end
    end
    old = until_event(keeper, :web, :ready).pid
    assert_same keeper, keeper.reload(:web)
    new = keeper["web"].pid
    refute_equal old, new
    until_event(keeper, :web, :ended)
    events = keeper.each_change.lazy.reject { |change| change.state == :starting }.first(5)
    assert_equal [[:ready, old, :none], [:ready, new, :none], [:reloaded, nil, :none], [:stopping, old, :reload],
                  [:ended, old, :reload]], events.map { |change| [change.state, change.pid, change.why] }
    error = assert_raises(Gipc::ReloadFailed) { keeper.reload(:web) } # the third one ends before it is ready
    assert_equal [:web, 1], [error.service, error.exit_info.code]
    assert_match(/service web was not reloaded: process #{error.pid} ended with code 1/, error.message)
    assert_equal [new, 0], [keeper[:web].pid, keeper[:web].restarts]
    assert_raises(KeyError) { keeper.reload(:none) }
  end

  def test_one_reload_at_a_time
    reader, writer = line
    keeper = open_keeper do |k|
      k.service(:web, notify: true, args: -> { [keeper_starts] }, **QUICK) do |start|
        reader.readline if start == 2
        Gipc.ready
        sleep
      end
    end
    until_event(keeper, :web, :ready)
    first = waiting { keeper.reload(:web) }
    until_event(keeper, :web, :starting, 2)
    assert_raises(Gipc::Locked) { keeper.reload(:web) }
    writer.puts
    assert_same keeper, first.value
    until_event(keeper, :web, :ended)
    assert_raises(Gipc::Timeout) { keeper.reload(:web, timeout: 0) }
    until_event(keeper, :web, :reloaded, 2)
  end

  def test_a_strategy_restarts_other_services
    {one_for_one: %i[b], rest_for_one: %i[b c], all_for_one: %i[a b c]}.each do |strategy, restarted|
      keeper = open_keeper(strategy: strategy) { |k| %i[a b c].each { |name| k.service(name, **QUICK) { sleep } } }
      until_event(keeper, :c, :ready)
      before = keeper.services.to_h { |service| [service.name, service.pid] }
      keeper.signal(:b, :KILL)
      restarted.each { |name| until_event(keeper, name, :ready, 2) }
      assert_equal restarted, keeper.services.reject { |one| one.pid == before[one.name] }.map(&:name), strategy.to_s
      assert_equal 9, keeper[:b].exit_info.signal
      assert_equal :group, keeper[:c].why unless strategy == :one_for_one
      keeper.stop
    end
  end

  def test_a_stop_ends_with_the_first_and_kills_one_that_ignores_it
    ready, writer = line
    keeper = open_keeper do |k|
      k.service(:a, **QUICK) { sleep }
      k.service(:deaf, **QUICK, grace: 0.01) do
        trap(:TERM, "IGNORE")
        writer.puts
        sleep
      end
      k.service(:c, **QUICK) { sleep }
    end
    ready.readline
    until_event(keeper, :c, :ready)
    keeper.stop
    assert_equal [[:c, :stopping], [:c, :ended], [:deaf, :stopping], [:deaf, :killed], [:deaf, :ended],
                  [:a, :stopping], [:a, :ended]], history(keeper, :stopping, :killed, :ended)
    assert_equal [15, 9, 15], keeper.services.map { |service| service.exit_info.signal }
    assert_nil keeper.wait
  end

  def test_arguments_are_made_for_each_start
    messages = Queue.new
    make = lambda do
      reader, writer = pipe
      messages << reader
      [writer, messages.size]
    end
    keeper = open_keeper { |k| k.service(:writer, args: make, **QUICK) { |pipe, number| pipe << number << Process.pid } }
    readers = Array.new(2) { messages.pop }
    first, second = readers.map { |reader| [reader.get, reader.get] }
    refute_equal first, second
    keeper.stop
    messages.clear
    program = [*RUBY, "-rgipc", "-e", 'Gipc.inherit("out") { |out| out << Process.pid }; sleep']
    keeper = open_keeper { |k| k.program(:program, program, handles: -> { {"out" => make.call.first} }, **QUICK) }
    assert_equal until_event(keeper, :program, :starting).pid, messages.pop.get
    assert_nil keeper.stop
    keeper.services.clear rescue assert_kind_of FrozenError, $! # rubocop:disable Style/RescueModifier
  end

  def test_handles_of_a_start_that_fails_are_closed
    ends = Queue.new
    keeper = open_keeper do |k|
      k.program(:absent, ["/nonexistent"], handles: -> { {"x" => pipe.tap { |pair| ends << pair }.last} }, limit: 1, **QUICK)
    end
    assert_raises(Gipc::GaveUp) { keeper.wait }
    assert_raises(EOFError) { ends.pop.first.get(timeout: 60) }
  end
end

KeeperServicesTest.each_also_under_async
