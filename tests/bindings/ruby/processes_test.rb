# frozen_string_literal: true

# Children: their start, their end, what is theirs and what is not.

class ProcessesTest < GipcTest
  def test_a_child_echoes
    mine, yours = pipe(duplex: true)
    child = start(yours, name: "echo") do |h|
      h.each { |object| h.put([object, Process.pid]) }
    end
    [nil, 1, "text", {list: [1, 2.5]}].each do |object|
      mine.put(object)
      assert_equal [object, child.pid], mine.get
    end
    assert_equal "echo", child.name
    assert_predicate child, :alive?
    assert_nil child.exitcode
    assert_match(/echo \d+ running/, child.inspect)
    mine.close
    assert_same child, child.join
    refute_predicate child, :alive?
    assert_equal 0, child.exitcode
    assert_match(/ended with 0/, child.inspect)
  end

  # H36
  def test_handles_given_move_and_others_are_closed
    given_reader, given_writer = pipe
    other_reader, other_writer = pipe
    answers, report = pipe
    other_writer.put("ours")
    start(given_reader, report) do |given, answer|
      answer.put(given.get)
      answer.put([-> { other_reader.get }, -> { other_writer.put(1) },
                  -> { other_writer.close }].map do |use|
        use.call
      rescue Gipc::Error => e
        e.class
      end)
      answer.put(Dir.children("/proc/self/fd").map(&:to_i).max)
    end
    assert_raises(Gipc::Closed) { given_reader.get }
    assert_raises(Gipc::Closed) { report.put(1) }
    given_writer.put("yours")
    assert_equal "yours", answers.get
    assert_equal [Gipc::WrongProcess] * 3, answers.get
    assert_kind_of Integer, answers.get
    assert_raises(EOFError) { answers.get } # nobody else has the writer
    assert_equal "ours", other_reader.get
  end

  # Bytes that were received, and not taken, go along.
  def test_messages_that_wait_move_with_their_handle
    reader, writer = pipe
    answers, report = pipe
    writer.put_many([1, 2, 3])
    refute_predicate reader.to_io, :autoclose?
    assert IO.select([reader], nil, nil, 20)
    assert_equal 1, reader.get
    start(reader, report) { |r, a| a.put(r.to_a) }
    writer.put(4)
    writer.close
    assert_equal [2, 3, 4], answers.get
  end

  # H49
  def test_exit_codes_are_exact
    (0..255).step(17) do |code|
      assert_equal code, start { exit code }.join.exitcode
    end
    {
      -> { nil } => 0, -> { exit true } => 0, -> { exit false } => 1,
      -> { exit! 7 } => 7, -> { exit 256 } => 255, -> { exit(-1) } => 255,
      -> { next 5 } => 0, -> { Thread.new { exit 9 }.join } => 9,
      -> { Process.kill(:KILL, Process.pid) } => -9,
      -> { Process.kill(:TERM, Process.pid); sleep } => -15,
      -> { Process.kill(:INT, Process.pid); sleep } => -2,
      -> { trap(:USR1, "SYSTEM_DEFAULT"); Process.kill(:USR1, Process.pid); sleep } => -10
    }.each do |block, code|
      assert_equal code, start(&block).join.exitcode, block.inspect
    end
    (0..255).step(51) { |code| assert_equal code, exec(["sh", "-c", "exit #{code}"]).join.exitcode }
    child = exec(["sh", "-c", "kill -9 $$"]).join
    assert_equal(-9, child.exitcode)
    assert_equal [nil, 9, false], child.exit_info.to_h.values_at(:code, :signal, :core)
  end

  def test_an_error_in_the_child_prints_its_trace_and_gives_1
    child = nil
    printed = standard_error do
      child = start { raise ArgumentError, "it is broken" }
      child.join
    end
    assert_equal 1, child.exitcode
    assert_match(/it is broken \(ArgumentError\)/, printed)
    assert_match(/processes_test\.rb:\d+/, printed)
    printed = standard_error { assert_equal 1, start { abort "last words" }.join.exitcode }
    assert_equal "last words\n", printed
    printed = standard_error { assert_equal 1, start { throw :nowhere }.join.exitcode }
    assert_match(/UncaughtThrowError/, printed)
  end

  # H56
  def test_a_join_times_out_and_others_go_on
    child = start { sleep }
    assert_nil child.join(0)
    assert_nil child.join(0.02)
    threads = Array.new(3) { until_waiting(Thread.new { child.join }) }
    assert_nil child.join(0.02)
    child.kill
    assert_equal [child] * 3, threads.map(&:value)
    2.times { assert_same child, child.join(0) }
    assert_equal(-9, child.exitcode)
  end

  def test_a_negative_timeout_waits_indefinitely_for_a_child
    [-1, -Float::INFINITY, Float::INFINITY, 1e300].each do |timeout|
      child = start { sleep }
      join = until_waiting(Thread.new { child.join(timeout) })
      child.kill
      assert_same child, join.value
    end
    child = start { sleep }
    [Float::NAN, "1", 1i].each { |timeout| assert_raises(ArgumentError) { child.join(timeout) } }
    # No signal is sent.
    [-1, Float::NAN].each { |grace| assert_raises(ArgumentError) { child.stop(grace: grace) } }
    assert_predicate child, :alive?
    child.kill
    assert_equal(-9, child.join.exitcode)
  end

  def test_exit_info_says_how_a_block_ended
    ended = proc { |child| child.join.exit_info.ended }
    assert_equal :return, ended.call(start { nil })
    assert_equal :exit, ended.call(start { exit 3 })
    standard_error { assert_equal :exception, ended.call(start { raise "so" }) }
    assert_equal :unknown, ended.call(start { Process.kill(:KILL, Process.pid) })
    assert_equal :unknown, ended.call(exec(%w[true]))
  end

  # H55, H57
  def test_a_child_can_be_terminated_and_killed
    child = start { sleep }
    assert child.terminate
    assert_equal(-15, child.join.exitcode)
    refute child.terminate
    refute child.kill
    assert_raises(Gipc::Dead) { child.signal(:USR1) }

    said, say = pipe
    child = start(say) do |h|
      trap(:TERM) { nil }
      trap(:USR1) { exit 3 }
      h.put(:ready)
      sleep
    rescue SystemExit
      h.put(:bye)
      raise
    end
    assert_equal :ready, said.get
    assert_equal(-9, child.stop(grace: 0.05).exitcode)

    said, say = pipe
    child = start(say) do |h|
      h.put(:ready)
      sleep
    ensure
      h.put(:ensured) # a Ruby process unwinds when it is terminated
    end
    assert_equal :ready, said.get
    child.signal(:STOP)
    assert_equal(-15, child.stop.exitcode)
    assert_equal :ensured, said.get
  end

  # H39
  def test_a_daemon_ends_with_its_parent
    reader, writer = pipe
    parent = start(writer) do |w|
      Gipc.start_process(w, daemon: true) do |h|
        h.put(Process.pid)
        sleep
      end
      sleep
    end
    assert_kind_of Integer, reader.get
    parent.kill
    assert_raises(EOFError) { reader.get(timeout: 20) }
  end

  # H30, H35
  def test_exit_handlers_of_the_parent_stay_there
    script = <<~RUBY
      require "gipc"
      at_exit { print "at_exit of \#{Process.pid == PARENT ? :parent : :child}\\n" }
      ObjectSpace.define_finalizer(Object.new, proc { print "finalizer\\n" })
      trap("EXIT") { print "trap\\n" }
      PARENT = Process.pid
      print "buffered "
      codes = [proc { print "child\\n" }, proc { exit 2 }, proc { exit! 3 }].map do |block|
        Gipc.start_process(&block).join.exitcode
      end
      puts codes.inspect
    RUBY
    output = IO.popen([*RUBY, "-e", program(script)], &:read)
    assert_equal ["at_exit of parent", "buffered child", "finalizer", "trap"],
                 output.lines(chomp: true).sort - ["[0, 2, 3]"]
    assert_includes output, "[0, 2, 3]"
  end

  # H5, H6: nor its traps.
  def test_traps_of_the_parent_stay_there
    counted, count = IO.pipe
    names = %w[USR1 USR2 HUP WINCH CLD]
    saved = names.to_h { |name| [name, trap(name) { count.write(name) }] }
    said, say = pipe
    child = start(say) do |h|
      trap("USR2") { h.put("own") }
      Process.kill("WINCH", Process.pid)
      system("true")
      h.put(:ready)
      sleep
    end
    assert_equal :ready, said.get
    child.signal(:USR2)
    assert_equal "own", said.get
    child.signal(:HUP)
    assert_equal(-1, child.join.exitcode)
    saved.each { |name, command| trap(name, command || "DEFAULT") }
    count.close
    # The parent's own trap has seen the end of its child.
    assert_equal "", counted.read.gsub("CLD", "")
  ensure
    counted.close
  end

  def test_children_of_children_work
    reader, writer = pipe
    child = start(writer) do |w|
      inner_reader, inner_writer = Gipc.pipe
      grandchild = Gipc.start_process(inner_writer) { |h| h.put(Process.ppid) }
      w.put([inner_reader.get, grandchild.join.exitcode])
      # And the interpreter's own ways.
      w.put([`echo from a shell`, Process.wait2(Process.fork { exit!(4) }).last.exitstatus])
    end
    assert_equal [child.pid, 0], reader.get
    assert_equal ["from a shell\n", 4], reader.get
    assert_equal 0, child.join.exitcode
  end

  # H40, H41, H42, H43
  def test_statuses_are_right_beside_other_reapers
    reapers = {
      detach: -> { Process.detach(Process.spawn("true")) },
      "wait(-1)": lambda do
        Thread.new do
          loop { Process.wait(-1) }
        rescue Errno::ECHILD
          retry unless @over
        end
      end,
      trap: -> { trap("CLD") { Process.wait(-1, Process::WNOHANG) rescue nil } }, # rubocop:disable Style/RescueModifier
      ignored: -> { trap("CLD", "IGNORE") },
      system: -> { Thread.new { assert system("true") until @over } }
    }
    reapers.each do |kind, reap|
      @over = false
      helper = reap.call
      codes = Array.new(20) { |i| [i, start { exit i }] }
      codes.each { |code, child| assert_equal code, child.join.exitcode, kind.to_s }
      codes.each { |_, child| assert_includes %i[wait kernel child], child.exit_info.how }
    ensure
      @over = true
      trap("CLD", "DEFAULT")
      helper.join if helper.is_a?(Thread)
    end
    begin
      Process.wait(-1) while true
    rescue Errno::ECHILD
      nil
    end
  end

  def test_a_child_killed_inside_a_message_is_told
    # On a ring the descriptor is readable before the first part is there.
    reader, writer = pipe(codec: :raw, transport: :plain)
    child = start(writer) do |w|
      w.put("whole")
      w.put("x" * 20_000_000)
    end
    assert_equal "whole", reader.get
    IO.select([reader]) # a first part of the second one
    child.kill
    assert_equal(-9, child.join.exitcode)
    2.times { assert_raises(Gipc::Truncated) { reader.get } }
  end

  def test_a_worker_pool_counts_right
    texts = Array.new(200) { |i| "word " * i }
    workers = Array.new(4) do
      mine, yours = pipe(duplex: true)
      start(yours) { |h| h.each { |i, text| h.put([i, text.split.size]) } }
      mine
    end
    queue = texts.each_with_index.map { |text, i| [i, text] }
    counts = {}
    workers.map do |worker|
      Thread.new do
        while (job = queue.shift)
          worker.put(job)
          i, count = worker.get
          counts[i] = count
        end
      end
    end.each(&:join)
    assert_equal (0...200).to_h { |i| [i, i] }, counts.sort.to_h
  end

  # H52
  def test_descriptors_and_memory_stay_flat
    run = lambda do |count|
      count.times do |i|
        Gipc.pipe(codec: :raw) do |reader, writer|
          child = Gipc.start_process(writer) { |w| w.put("x") }
          assert_equal "x", reader.get
          assert_equal 0, child.join.exitcode
        end
        GC.start if (i % 100).zero?
      end
    end
    run.call(full_count? ? 200 : 20)
    before = [descriptors.size, resident]
    run.call(long? ? 20_000 : full_count? ? 1_000 : 100)
    assert_equal before.first, descriptors.size
    assert_operator resident - before.last, :<, 4 << 20
  end

  # What is queued at the end of a child is sent, but may be given up.
  def test_a_child_sends_what_is_queued_before_its_end
    partly = lambda do |h, say|
      h.put("x" * 5_000_000, timeout: 0.01)
    rescue Gipc::Timeout => e
      say.put(!e.withdrawn?)
    end
    2.times do |run|
      reader, writer = pipe(codec: :raw)
      said, say = pipe
      child = start(writer, say, &partly)
      assert said.get
      assert_nil child.join(0.1)
      if run.zero?
        assert_equal 5_000_000, reader.get.bytesize
        assert_raises(EOFError) { reader.get }
        assert_equal 0, child.join.exitcode
      else
        child.terminate
        assert_equal(-15, child.join.exitcode)
      end
    end
  end

  def test_a_process_can_be_closed
    child = start { sleep }
    assert_raises(Gipc::Locked) { child.close }
    sentinel = child.sentinel
    assert_nil IO.select([sentinel], nil, nil, 0)
    child.kill
    assert IO.select([sentinel], nil, nil, 20)
    child.join
    assert_nil child.close
    assert_equal(-9, child.exitcode)
    assert_raises(Gipc::Closed) { child.sentinel }
    assert_nil child.close
  rescue Errno::EOPNOTSUPP
    skip "no descriptors of processes here"
  end

  # Its program's own threads make, close and lose handles while it forks, and a
  # hook of Process._fork lets them.
  def test_threads_that_use_handles_are_no_obstacle_to_a_fork
    script = <<~RUBY
      require "gipc"
      module Slow
        def _fork = [Thread.pass, sleep(0.001), GC.start, super].last
      end
      Process.singleton_class.prepend(Slow)
      over = false
      threads = Array.new(3) do
        Thread.new { Gipc.pipe { |r, w| w << 1; r.get; Gipc.pipe } until over }
      end
      codes = Array.new(8) { |i| Gipc.start_process { exit i }.join.exitcode }
      starters = Array.new(3) { Thread.new { Array.new(3) { |i| Gipc.start_process { exit i }.join.exitcode } } }
      others = starters.map(&:value)
      over = true
      threads.each(&:join)
      exit codes == [*0...8] && others == [[*0...3]] * 3
    RUBY
    assert system(*RUBY, "-e", script)
  end

  # A hook that fails: in the parent nothing is left, in the child it ends.
  def test_a_hook_of_fork_may_fail # H102
    script = <<~RUBY
      require "gipc"
      module Failing
        def _fork
          raise "before" if $before
          super.tap { |pid| raise "in the child" if pid == 0 && $after }
        end
      end
      Process.singleton_class.prepend(Failing)
      reader, writer = Gipc.pipe
      $before = true
      begin
        Gipc.start_process(writer) { nil }
      rescue RuntimeError => e
        puts e.message
      end
      $before = false
      writer.put("still ours")
      puts reader.get
      $after = true
      puts Gipc.start_process(stderr: :stdout) { nil }.join.exitcode
      $after = false
      puts Gipc.start_process { exit 6 }.join.exitcode
    RUBY
    lines = IO.popen([*RUBY, "-e", script], &:read).lines(chomp: true)
    assert_equal ["before", "still ours"], lines.first(2)
    assert_equal %w[1 6], lines.last(2)
    assert_match(/in the child \(RuntimeError\)/, lines[2])
  end

  # Signals that the interpreter uses itself work in the child.
  def test_the_interpreter_works_in_the_child
    handled = lambda do # of SEGV, BUS, ILL and VTALRM, which trap does not return
      File.read("/proc/self/status")[/SigCgt:\s*(\h+)/, 1].hex & [11, 7, 4, 26].sum { |n| 1 << (n - 1) }
    end
    here = handled.call
    child = start do
      exit 12 unless handled.call == here
      exit 13 unless File.read("/proc/self/status")[/SigBlk:\s*(\h+)/, 1].hex.zero? # H4
      Timeout.timeout(0.01) { sleep }
    rescue Timeout::Error
      threads = Array.new(4) { Thread.new { 200.times { Thread.pass } } }
      threads.each(&:join)
      waiting = Thread.new { sleep }
      waiting.kill.join
      deep = ->(n) { deep.call(n + 1) }
      begin
        deep.call(0)
      rescue SystemStackError
        exit 11
      end
    end
    assert_equal 11, child.join.exitcode
  end

  # An interrupted start has either a process or no child.
  def test_a_start_cannot_be_interrupted_halfway
    20.times do
      started = nil
      thread = Thread.new do
        Thread.handle_interrupt(RuntimeError => :on_blocking) { started = Gipc.start_process { sleep } }
        sleep
      end
      thread.report_on_exception = false
      Thread.pass until thread.stop? || started
      thread.raise("off")
      assert_raises(RuntimeError) { thread.join }
      keep(started) if started
    end
  end

  private

  def resident = File.read("/proc/self/statm").split[1].to_i * 4096
end

ProcessesTest.also_under_async except: %w[a_join_times_out_and_others_go_on a_worker_pool_counts_right]
