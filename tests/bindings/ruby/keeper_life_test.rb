# frozen_string_literal: true

# Services of a keeper: signs of life, the environment, options, and what ends a wait.

require_relative "keeper_support"
require "tmpdir"

class KeeperLifeTest < KeeperTest
  # A program that speaks sd_notify(3) without this library.
  SPEAKER = <<~'RUBY'
    socket = Socket.new(:UNIX, :DGRAM)
    socket.connect(Socket.sockaddr_un(ENV.fetch("NOTIFY_SOCKET").sub(/\A@/, "\0")))
    socket.send("STATUS=loading", 0)
    socket.send("READY=1\nSTATUS=#{ENV["WATCHDOG_USEC"]}", 0)
    loop { socket.send("WATCHDOG=1", 0) }
  RUBY

  def test_a_program_that_speaks_sd_notify_is_understood
    keeper = open_keeper do |k|
      k.program(:ruby, [RbConfig.ruby, "-rsocket", "-e", SPEAKER], notify: true, silence: 60, **QUICK)
      k.program(:shell, ["sh", "-c", "systemd-notify --ready; exec sleep 1000"], notify: true, stderr: :null, **QUICK) if
        system("systemd-notify", "--version", out: File::NULL, err: File::NULL)
    end
    keeper.services.each { |service| until_event(keeper, service.name, :ready) }
    assert(keeper.services.all? { |service| service.state == :ready })
  end

  def test_a_service_that_sends_without_end_does_not_stop_the_keeper
    native = Gipc.const_get(:Native)
    heard = native.method(:keeper_notified)
    native.define_singleton_method(:keeper_notified) { |*all| heard.call(*all) || false } # there is always one more
    keeper = open_keeper do |k|
      k.service(:web, notify: true, **QUICK) { Gipc.ready && sleep }
      k.program(:other, %w[sleep 1000], **QUICK)
    end
    keeper.wait_ready
    keeper.reload(:other)
    keeper.stop
    assert_equal :stopped, keeper[:web].state
  ensure
    native.define_singleton_method(:keeper_notified, heard)
  end

  def test_what_a_service_reports_before_its_end_is_heard
    names = Array.new(20) { |i| :"service #{i}" }
    keeper = open_keeper { |k| names.each { |name| k.service(name, notify: true, restart: :never) { Gipc.ready } } }
    keeper.wait
    assert_equal names, history(keeper, :ready).map(&:first)
    assert_equal [0], keeper.services.map { |service| service.exit_info.code }.uniq
  end

  def test_a_process_that_has_ended_holds_no_descriptor
    keeper = open_keeper { |k| k.service(:web, notify: true, stderr: :pipe, **QUICK) { Gipc.ready && sleep } }
    keeper.wait_ready
    before = descriptors.size
    5.times do |i|
      keeper.reload(:web)
      until_event(keeper, :web, :ended, i + 1)
    end
    assert_equal before, descriptors.size
  end

  def test_a_silent_service_shows_its_stacks
    reader, writer = line
    keeper = open_keeper do |k|
      k.service(:hangs, notify: true, silence: 0.02, dump: -1, stderr: writer, **QUICK) do
        Gipc.ready
        sleep
      end
    end
    until_event(keeper, :hangs, :silent)
    assert(reader.each_line.find { |text| text.include?("keeper_life_test.rb") })
    assert_equal [:silent, 0], [keeper[:hangs].state, keeper[:hangs].restarts]
  end

  # Without a trap it would end the process.
  def test_the_signal_for_a_dump_waits_for_its_trap
    child = Gipc.const_get(:Child)
    dump_on = child.method(:dump_on)
    reader, writer = line
    go_reader, go = line
    child.define_singleton_method(:dump_on) do |signal| # in the service
      go_reader.read(1)
      dump_on.call(signal)
    end
    keeper = open_keeper do |k|
      k.service(:hangs, silence: 0.02, dump: -1, stderr: writer, **QUICK) { sleep }
    end
    until_event(keeper, :hangs, :silent)
    go.write("g")
    assert(reader.each_line.find { |text| text.include?("keeper_life_test.rb") })
    assert_equal 0, keeper[:hangs].restarts
  ensure
    child.define_singleton_method(:dump_on, dump_on)
  end

  def test_a_silent_service_is_stopped_and_started_again
    reader, writer = line
    keeper = open_keeper do |k|
      k.service(:hangs, notify: true, silence: 0.02, dump: 0.01, stderr: :null, **QUICK) { Gipc.ready && sleep }
      k.service(:talks, silence: 0.5, dump: -1, stderr: :null, **QUICK) do
        loop { writer.write(Gipc.alive.to_s[0]) }
      end
    end
    until_event(keeper, :hangs, :starting, 2)
    assert_equal [:silent, 15], [keeper[:hangs].why, keeper[:hangs].exit_info.signal]
    assert_equal "t" * 10, reader.read(10)
  end

  def test_a_service_has_no_variables_of_another_supervisor
    reader, writer = line
    names = %w[NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID]
    names.each { |name| ENV[name] = "/nonexistent" }
    show = -> { names.map { |name| ENV[name].to_s }.join(" ") }
    program = "puts %w[#{names.join(" ")}].map { |name| ENV[name].to_s }.join(' '); $stdout.flush; sleep"
    open_keeper do |k|
      k.service(:block, **QUICK) { writer.puts(show.call) || sleep }
      k.program(:program, [RbConfig.ruby, "-e", program], stdout: writer, **QUICK)
      k.service(:watched, silence: 1.5, env: {"NAME" => "x"}, **QUICK) { writer.puts("#{ENV["NAME"]} #{show.call}") || sleep }
    end
    lines = Array.new(3) { reader.readline(chomp: true) }.sort_by(&:size)
    assert_equal ["  ", "  "], lines.first(2)
    assert_match(/\Ax \S+ 1500000 \z/, lines.last)
    refute_includes lines.last, "nonexistent"
  ensure
    names.each { |name| ENV.delete(name) }
  end

  def test_ready_and_alive_speak_to_any_supervisor
    refute Gipc.ready
    refute Gipc.alive
    path = "#{Dir.mktmpdir}/socket"
    server = Socket.new(:UNIX, :DGRAM)
    server.bind(Socket.sockaddr_un(path))
    @streams << server
    child = start(env: {"NOTIFY_SOCKET" => path}) { exit Gipc.ready && Gipc.alive }
    assert_equal %w[READY=1 WATCHDOG=1], Array.new(2) { server.recv(100).chomp }
    assert_equal 0, child.join.exitcode
    server.close
    child = start(env: {"NOTIFY_SOCKET" => path}) { Gipc.alive rescue exit $!.is_a?(Errno::ECONNREFUSED) ? 7 : 8 } # rubocop:disable Style/RescueModifier
    assert_equal 7, child.join.exitcode
  ensure
    FileUtils.rm_rf(File.dirname(path))
  end

  def test_an_option_that_is_wrong_is_named_with_its_service
    {{silence: "x"} => /service web: option silence: a number/, {limit: -1} => /service web: option limit: -1/,
     {restart: :often} => /service web: option restart: :often is none of :always/,
     {notify: 1} => /service web: option notify: 1 is none of true, false/, {chdir: 5} => /service web: option chdir/,
     {speed: 1} => /service web: unknown option: speed/, {most: 1} => /unknown option: most/,
     {stdin: :pipe} => /service web: option stdin: nothing would use this pipe/,
     {daemon: "no"} => /service web: option daemon: true or false is needed, not "no"/,
     {retire_tasks: 1} => /unknown option: retire_tasks/, {dump_signal: :NONE} => /option dump_signal: no signal/,
     {args: 5} => /option args: an Array/, {args: [pipe.first]} => /option args: a handle can be passed once/}.each do |options, text|
      error = assert_raises(ArgumentError, TypeError, options.to_s) { Gipc.keep { |k| k.service(:web, **options) { nil } } }
      assert_match text, error.message
    end
    {-> (k) { k.service(:web) } => /service web: a block/, -> (k) { k.program(:db, []) } => /service db: argv: it is empty/,
     -> (k) { k.program(:db, ["x"], handles: {a: 1}) } => /service db: option handles/, ->(_) {} => /needs a service/,
     -> (k) { 2.times { k.program(:db, ["true"]) } } => /service db: there are two/,
     -> (k) { k.program(5, ["true"]) } => /service 5: a name is/}.each do |block, text|
      assert_match text, assert_raises(ArgumentError, TypeError) { Gipc.keep(&block) }.message
    end
    error = assert_raises(ArgumentError) { Gipc.keep(strategy: :none) { |k| k.program(:db, ["true"]) } }
    assert_match(/option strategy: :none is none of :one_for_one/, error.message)
    keeper = open_keeper { |k| k.program(:db, ["sleep", "100"], ready_within: nil, **QUICK) }
    assert_match(/no service: :web \(there are: db\)/, assert_raises(KeyError) { keeper[:web] }.message)
    assert_raises(TypeError) { keeper.dup }
    assert_raises(NoMethodError) { Gipc::Keeper.new(:one_for_one, []) }
  end

  def test_fibers_and_threads_run_while_a_keeper_is_waited_for
    told, tell = line
    ready, writer = line
    keeper = open_keeper do |k|
      k.service(:polite, **QUICK) do
        trap(:TERM) { told.readline && exit(4) }
        writer.puts
        sleep
      end
    end
    ready.readline
    waits = Array.new(2) { waiting { keeper.wait } }
    stop = waiting { keeper.stop }
    until_event(keeper, :polite, :stopping)
    tell.puts
    assert_equal [nil, nil, nil], [*waits, stop].map(&:value)
    assert_equal 4, keeper[:polite].exit_info.code
  end

  def test_changes_may_be_read_by_several
    keeper = open_keeper { |k| k.service(:a, **QUICK) { sleep } }
    readers = Array.new(2) { waiting { keeper.each_change.map(&:state) } }
    until_event(keeper, :a, :ready)
    keeper.stop
    assert_equal [%i[starting ready stopping ended]] * 2, readers.map(&:value)
    changes = Gipc::Keeper.const_get(:Changes).new
    assert_nil changes.from(0)
    3000.times { |i| changes.add(i) }
    assert_equal [[1976, 1976], [2999, 2999], nil], [changes.from(0), changes.from(2999), changes.from(3000)]
  end

  def test_a_keeper_of_another_process_is_refused
    keeper = open_keeper { |k| k.service(:a, notify: true, **QUICK) { Gipc.ready && sleep } }
    pid = until_event(keeper, :a, :ready).pid
    reader, writer = line
    calls = [-> { keeper.stop }, -> { keeper.wait }, -> { keeper.reload(:a) }, -> { keeper[:a].pid },
             -> { keeper.signal(:a, :KILL) }, -> { keeper.each_change.to_a }]
    child = Process.fork do
      calls.each do |call|
        call.call
      rescue StandardError => e
        writer.puts(e.class)
      end
      writer.puts(keeper.inspect)
      keeper = nil
      calls.clear
      GC.start
      exit!(0)
    end
    Process.wait(child)
    assert_equal ["Gipc::WrongProcess"] * 6 + ["#<Gipc::Keeper of another process>"],
                 Array.new(7) { reader.readline(chomp: true) }
    assert_equal [pid, :ready], [keeper[:a].pid, keeper[:a].state]
    assert_same keeper, keeper.reload(:a)
  end
end

KeeperLifeTest.each_also_under_async

class KeeperEndsTest < KeeperTest
  def test_an_exception_in_a_wait_leaves_the_keeper_as_it_is
    keeper = open_keeper { |k| k.service(:a, **QUICK) { sleep } }
    until_event(keeper, :a, :ready)
    [-> { keeper.wait }, -> { keeper.each_change { nil } }].each do |call|
      thread = waiting(&call).tap { |one| one.report_on_exception = false }
      thread.raise(IOError, "out")
      assert_equal "out", assert_raises(IOError) { thread.value }.message
    end
    assert_raises(Timeout::Error) { Timeout.timeout(0.01) { keeper.wait } }
    thread = Thread.main
    beside { until_waiting(thread) && Process.kill(:INT, Process.pid) }
    assert_raises(Interrupt) { keeper.wait }
    assert_empty keeper.instance_variable_get(:@driver).instance_variable_get(:@condition).instance_variable_get(:@tickets)
    assert_equal :ready, keeper[:a].state
    assert_nil keeper.stop
  end

  def test_a_stop_that_is_interrupted_goes_on
    told, tell = line
    ready, writer = line
    keeper = open_keeper do |k|
      k.service(:polite, **QUICK) do
        trap(:TERM) { told.readline && exit(4) }
        writer.puts
        sleep
      end
    end
    ready.readline
    stopping = waiting { keeper.stop }.tap { |thread| thread.report_on_exception = false }
    stopping.raise(IOError, "out")
    assert_raises(IOError) { stopping.value }
    tell.puts
    assert_nil keeper.wait
    assert_equal [4, :stopped], [keeper[:polite].exit_info.code, keeper[:polite].why]
  end

  # Its services hold the standard output.
  KEEPING = <<~'RUBY'
    keeper = Gipc.keep do |k|
      k.service(:block, notify: true) { Gipc.ready && sleep }
      k.program(:program, ["sleep", "1000"])
      k.service(:detached, daemon: false) { STDIN.read && puts("still") } if ARGV.first == "detached"
    end
    changes = keeper.each_change.lazy.select { |change| change.state == :ready }
    changes.first(keeper.services.size)
    puts "ready"
    $stdout.flush
    keeper.wait
  RUBY

  def test_the_kill_of_the_process_that_keeps_leaves_nothing
    [[], ["detached"]].each do |words|
      child = exec([*RUBY, "-rgipc", "-e", KEEPING, *words], stdin: :pipe, stdout: :pipe)
      assert_equal "ready\n", child.stdout.readline
      child.kill
      child.join
      child.stdin.close
      assert_equal words.empty? ? "" : "still\n", child.stdout.read
      child.stdout.close
    end
  end
end
