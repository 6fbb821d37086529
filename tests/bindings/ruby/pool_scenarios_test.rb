# frozen_string_literal: true

# The native policies of pools and keepers: each scenario of tests/pool, where pool.tsv
# describes the lines.  What a driver learns from its processes is not compared (how one
# ended), nor are results that it is not told (nil).

class PoolScenariosTest < GipcTest
  REFUSED = {Gipc::Closed => "closed", Gipc::Locked => "locked", Gipc::Dead => "dead",
             Errno::EINVAL => "invalid"}.freeze
  KINDS = NATIVE.constants.grep(/\AACTION_/).to_h { |name| [NATIVE.const_get(name), name[7..].downcase] }
  REASONS = Gipc.const_get(:Driver)::REASONS
  WORDS = %w[one_for_one rest_for_one all_for_one].to_h { |word| [word, NATIVE.const_get(word.upcase)] }.merge(
    %w[always on_failure never].to_h { |word| [word, NATIVE.const_get("RESTART_#{word.upcase}")] }
  )

  # Calls the events by their names.
  class Policy
    def initialize(ends)
      @ends = ends
      @lines = Hash.new { |lines, worker| lines[worker] = Gipc.pipe(duplex: true, codec: :raw) }
      @tasks = Hash.new { |tasks, worker| tasks[worker] = [] }
    end

    def tick; end

    def started(worker)
      NATIVE.crew_started(@crew, worker, @lines[worker].first.native, @ends[nil].native)
    end

    def up(worker)
      started(worker)
      ready(worker)
    end

    def ready(worker) = says(worker, NATIVE::READY_MESSAGE, 0)
    def alive(worker) = says(worker, NATIVE::ALIVE_MESSAGE, 0)

    def answered(worker, failed = nil)
      says(worker, failed ? NATIVE::FAILED_MESSAGE : NATIVE::DONE_MESSAGE, @tasks[worker].shift || 1)
    end

    def start_failed(worker, error) = NATIVE.crew_start_failed(@crew, worker, error)
    def misbehaved(worker) = NATIVE.crew_misbehaved(@crew, worker)
    def memory(worker, bytes) = NATIVE.crew_memory(@crew, worker, bytes)
    def ended(worker, how = nil) = NATIVE.crew_ended(@crew, worker, @ends[how].native)
    def cancel(task) = NATIVE.crew_cancel(@crew, task) ? "" : "gone"

    def stop(grace = 0)
      NATIVE.crew_stop(@crew, grace)
      nil
    end

    def close
      NATIVE.crew_end(@crew)
      @lines.each_value { |ends| ends.each(&:abort) }
    end

    def actions
      found = []
      while (action = NATIVE.crew_next(@crew))
        found << text(*action)
      end
      found
    end

    private

    def says(worker, kind, task)
      @lines[worker].last.put(NATIVE.worker_message(kind, task, "", "", "", ""))
      NATIVE.crew_receive(@crew, worker, @lines[worker].first.native)
      nil
    end

    def text(kind, why, worker, task, attempt, service)
      kind = KINDS[kind]
      of = " service=#{service}" if is_a?(OfKeeper)
      by = " worker=#{worker}" unless worker.zero?
      case kind
      when "start" then "start #{worker}#{of}"
      when "dump", "stop", "kill" then "#{kind} #{worker} #{REASONS[why]}"
      when "finish" then "finish #{task} #{REASONS[why]} attempt=#{attempt}#{by}"
      when "drained", "stopped" then kind
      when "send"
        @tasks[worker] << task
        "send #{task} to #{worker} attempt=#{attempt}"
      else "#{kind}#{of} #{REASONS[why]}#{by}"
      end
    end
  end

  class OfPool < Policy
    def initialize(ends, rules, _services)
      super(ends)
      @crew = NATIVE.crew_new(rules)
    end

    def submit(*words)
      rules = {"timeout" => 0, "priority" => 0, "retries" => 0, "retry_for" => 0}.merge(PoolScenariosTest.numbers(words))
      NATIVE.crew_submit(@crew, {}, :task, rules.values) ? "" : "again"
    end
  end

  class OfKeeper < Policy
    def initialize(ends, rules, services)
      super(ends)
      @crew = NATIVE.keeper_new(rules["strategy"], services)
      @socket = NATIVE.notify_socket_new
    end

    def started(process) = NATIVE.keeper_started(@crew, process, @ends[nil].native)
    def ready(process) = notified(process) { NATIVE.notify_ready }
    def alive(process) = notified(process) { NATIVE.report_alive }

    def reload(service)
      NATIVE.keeper_reload(@crew, service)
      ""
    end

    def close
      super
      NATIVE.release(@socket)
    end

    private

    def notified(process)
      ENV["NOTIFY_SOCKET"] = NATIVE.notify_socket_address(@socket)
      yield
      NATIVE.keeper_notified(@crew, process, @socket, Process.pid)
      nil
    ensure
      ENV.delete("NOTIFY_SOCKET")
    end
  end

  # The values of words like name=value.
  def self.numbers(words)
    words.to_h { |word| word.split("=") }.transform_values { |text| WORDS.fetch(text) { Float(text) } }
  end

  def setup
    @ends = Hash.new do |ends, how|
      name, number = (how || "exit=0").split("=")
      process = Gipc.exec_process(["sh", "-c", name == "exit" ? "exit #{number}" : "kill -#{number} $$"])
      sleep(0.001) while process.alive? # a join would release the native object
      ends[how] = process
    end
  end

  def teardown
    @ends.each_value(&:close)
  end

  def test_a_driver_of_a_pool_gets_the_actions_of_each_scenario
    play_all(%w[pool pool_ahead], OfPool)
  end

  def test_a_driver_of_a_keeper_gets_the_actions_of_each_scenario
    play_all(%w[keeper], OfKeeper)
  end

  private

  # [name, rules, [rules of a service], [[time, event, actions]]]
  def scenarios(kind)
    File.foreach("#{__dir__}/../../pool/#{kind}.tsv", chomp: true).with_object([]) do |line, found|
      first, second, third = line.split("\t")
      case first
      when nil, /\A#/ then next
      when "scenario" then found << [second, {}, [], []]
      when "pool", "keeper" then found.last[1].merge!(self.class.numbers(second.split))
      when "service" then found.last[2] << self.class.numbers(second.split)
      else found.last[3] << [Float(first), second, third.to_s] unless second == "next_time"
      end
    end
  end

  # What a put does is not played: "refused".
  def play_all(files, policy)
    all = files.flat_map { |file| scenarios(file) }
    all.reject! { |*, lines| lines.any? { |_, event,| event.start_with?("refused") } }
    assert_operator all.size, :>, 15
    wrong = all.filter_map do |name, rules, services, lines|
      result = play(policy.new(@ends, rules, services), lines)
      "#{name}: #{result}" if result
    end
    assert_empty wrong
  end

  def play(policy, lines)
    lines.each do |time, event, wanted|
      NATIVE.stop_clock(time)
      wanted = wanted.gsub(/ (exit|signal|error)=\d+/, "")
      got = outcome(policy, event, wanted[/\A= \w+/])
      return "#{time} #{event}: wanted #{wanted.inspect}, got #{got.inspect}" if got != wanted
    end
    nil
  ensure
    NATIVE.stop_clock(-1)
    policy.close
  end

  # The result, and the actions.  refused: the result of an event that tells none.
  def outcome(policy, event, refused)
    name, *words = event.split
    words.map! { |word| word.match?(/\A-?[\d.]+\z/) ? Integer(word, exception: false) || Float(word) : word }
    result = begin
      policy.public_send(name, *words)
    rescue *REFUSED.keys => e
      REFUSED.fetch(e.class)
    end
    refused = result.empty? ? nil : "= #{result}" if result
    [refused, *policy.actions].compact.join("; ")
  end
end
