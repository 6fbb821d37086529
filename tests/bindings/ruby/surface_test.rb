# frozen_string_literal: true

# The same surface as in every language, and errors that name their thing.

class SurfaceTest < GipcTest
  TABLE = File.readlines("#{ROOT}/tests/bindings/surface.tsv", chomp: true)
              .grep_v(/\A(#|$)/).map { |line| line.split("\t").values_at(0, 2) }
  CLASSES = {
    "Handle" => Gipc::Handle, "Process" => Gipc::Process, "Template" => Gipc::Template, "Pool" => Gipc::Pool,
    "Task" => Gipc::Pool::Task, "Keeper" => Gipc::Keeper, "Plan" => Gipc::Keeper::Plan,
    "Service" => Gipc::Keeper::Service
  }.freeze

  def test_the_names_of_the_surface_table_are_there
    options = Gipc::Options.names + [:handles]
    TABLE.each do |functions, cell|
      refute_empty cell.to_s, "#{functions} has no cell"
      next if cell.start_with?("- ")

      cell.scan(/option (\w+)|(\S+)/) do |option, name|
        next assert_includes(options, option.to_sym, functions) if option

        assert there?(name), "#{name} of #{functions} is not there"
      end
    end
    listed = TABLE.flat_map { |_, cell| cell.scan(/option (\w+)/).flatten }
    assert_empty options.map(&:to_s) - listed, "options that the table has not"
  end

  def test_every_option_of_a_start_takes_effect
    from, to = IO.pipe
    @streams.push(from, to)
    script = <<~'SH'
      echo "$A $B $0"; pwd; ulimit -n; umask; nice; grep NoNewPrivs /proc/self/status
      echo mapped >&9; test -e /dev/fd/8 && echo kept
    SH
    portable = ENV["GIPC_TEST_OS"] == "posix" # that half has no such option
    if portable
      error = assert_raises(Errno::EOPNOTSUPP) { exec(%w[true], no_new_privileges: true) }
      assert_match(/no_new_privileges/, error.message)
    end
    child = exec(["called", "-c", script], program: "/bin/sh", name: :symbol, stdout: :pipe, stderr: :stdout,
                 stdin: :null, chdir: "/usr", clear_env: true, env: {"A" => "set", B: nil, "PATH" => ENV["PATH"]},
                 rlimits: {nofile: [64, 64]}, umask: 0o27, nice: 3,
                 no_new_privileges: !portable, map_fds: {9 => to, 8 => from.fileno}, group: :new, daemon: true,
                 death_signal: :TERM, keep_all_fds: true)
    @streams << child.stdout
    assert_equal ["set  called", "/usr", "64", "0027", (Process.getpriority(Process::PRIO_PROCESS, 0) + 3).to_s,
                  "NoNewPrivs:\t#{portable ? 0 : 1}", "kept"], child.stdout.read.lines(chomp: true)
    assert_equal "mapped\n", from.readpartial(100)
    assert_equal "symbol", child.name
    assert_equal 0, child.join.exitcode
    child = exec(%w[grep SigBlk /proc/self/status], stdout: :pipe, block_signals: [:USR2, "HUP"])
    @streams << child.stdout
    assert_equal (1 << 11) | 1, child.stdout.read[/\h+$/].hex

    own = {uid: Process.uid, gid: Process.gid, user: nil}
    assert_equal 0, start(**own, group: :session) { exit Process.getsid == Process.pid }.join.exitcode
    return unless Process.uid.zero?

    child = start(user: [65_534, 65_533, [65_532]]) { exit [Process.uid, Process.gid, *Process.groups] == [65_534, 65_533, 65_532] }
    assert_equal 0, child.join.exitcode
  end

  def test_the_terminal_of_a_child_is_its_own
    require "pty"
    primary, secondary = PTY.open
    @streams.push(primary, secondary)
    child = start(terminal: secondary) { exit File.open("/dev/tty", &:tty?) }
    assert_equal 0, child.join.exitcode
  end

  def test_an_error_of_a_start_names_the_program_or_the_directory
    {
      -> { exec(["no-such-program", "x"]) } => [Errno::ENOENT, "no-such-program"],
      -> { exec(["x"], program: "/no/such/file") } => [Errno::ENOENT, "/no/such/file"],
      -> { exec(["/etc/passwd"]) } => [Errno::EACCES, "/etc/passwd"],
      -> { exec(["true"], chdir: "/no/such/place") } => [Errno::ENOENT, "/no/such/place"],
      -> { start(chdir: "/no/such/place") { nil } } => [Errno::ENOENT, "/no/such/place"],
      -> { exec(["true"], keep_fds: [777]) } => [Errno::EBADF, "keep_fds: [777]"],
      -> { start(stdout: 777) { nil } } => [Errno::EBADF, "stdout: 777"]
    }.each do |call, (error, name)|
      assert_match(/ - #{Regexp.escape(name)}\z/, assert_raises(error, name, &call).message)
    end
  end

  def test_an_unknown_option_or_a_wrong_type_is_refused_by_name
    reader, writer = pipe
    {
      -> { Gipc.pipe(duplx: true) } => [ArgumentError, /duplx/],
      -> { Gipc.pipe(codec: "json") } => [ArgumentError, /"json".*:json/],
      -> { Gipc.open("a path") } => [TypeError, /reader.*"a path"/],
      -> { Gipc.inherit(5) } => [TypeError, /name.*5/],
      -> { start(chdr: "/") { nil } } => [ArgumentError, /chdr.*chdir/],
      -> { start(42) { nil } } => [TypeError, /42/],
      -> { start } => [ArgumentError, /block/],
      -> { start(chdir: 5) { nil } } => [TypeError, /chdir.*5/],
      -> { start(env: ["A=1"]) { nil } } => [TypeError, /env.*\["A=1"\]/],
      -> { start(env: {"A=" => "1"}) { nil } } => [ArgumentError, /env/],
      -> { start(env: {"A" => 1}) { nil } } => [TypeError, /env.*1/],
      -> { start(stdout: "file") { nil } } => [TypeError, /stdout.*"file"/],
      -> { start(group: :nwe) { nil } } => [ArgumentError, /group.*:nwe.*:new/],
      -> { start(rlimits: {nofiles: 1}) { nil } } => [ArgumentError, /rlimits.*nofiles/],
      -> { start(user: 65_534) { nil } } => [TypeError, /user.*65534/],
      -> { start(umask: 0o7777) { nil } } => [ArgumentError, /umask/],
      -> { start(death_signal: :NOPE) { nil } } => [ArgumentError, /death_signal.*NOPE/],
      -> { start(keep_fds: 3) { nil } } => [TypeError, /keep_fds.*3/],
      -> { start(keep_all_fds: 0) { nil } } => [TypeError, /keep_all_fds: true or false is needed, not 0/],
      -> { start(name: "a\0b") { nil } } => [ArgumentError, /name/],
      -> { start(name: "a".encode("UTF-16LE")) { nil } } => [ArgumentError, /name.*UTF-16LE/],
      -> { start(death_signal: "TERM".encode("UTF-16LE")) { nil } } => [ArgumentError, /death_signal/],
      -> { start(rlimits: {"a=b" => 1}) { nil } } => [ArgumentError, /rlimits.*"a=b"/],
      -> { start(stdin: File.open("/dev/null").tap(&:close)) { nil } } => [IOError, /stdin.*closed/],
      -> { start(terminal: Struct.new(:to_io).new(1)) { nil } } => [TypeError, /terminal.*to_io/],
      -> { start(user: [0, 0, [1 << 32]]) { nil } } => [ArgumentError, /user.*4294967296/],
      -> { start(program: "/bin/sh") { nil } } => [ArgumentError, /program/],
      -> { exec("ls -l") } => [TypeError, /argv.*"ls -l"/],
      -> { exec([]) } => [ArgumentError, /argv.*empty/],
      -> { exec(["ls", 5]) } => [TypeError, /argv.*5/],
      -> { exec(["true"], handles: [reader]) } => [TypeError, /handles/],
      -> { exec(["true"], handles: {a: reader, b: reader}) } => [Errno::EINVAL, /given twice/],
      -> { exec(["true"], handles: {"a b" => reader}) } => [Errno::EINVAL, /"a b"/],
      -> { start(reader, reader) { nil } } => [Errno::EINVAL, /given twice/],
      -> { Gipc.inherit("a b") } => [Errno::EINVAL, /"a b"/],
      -> { start { nil }.signal(1 << 40) } => [ArgumentError, /no signal: 1099511627776/],
      -> { reader.limit = 1 << 70 } => [ArgumentError, /limit.*1180591620717411303424/],
      -> { writer.put_many(5) } => [TypeError, /objects.*5/],
      -> { reader.limit = -1 } => [ArgumentError, /limit.*-1/],
      -> { reader.limit = "1" } => [TypeError, /limit.*"1"/],
      -> { reader.get_into(5) } => [TypeError, /buffer.*5/],
      -> { Gipc.wait(reader) } => [TypeError, /objects/]
    }.each do |call, (error, text)|
      assert_match text, assert_raises(error, text.inspect, &call).message
    end
  end

  def test_an_object_that_cannot_be_encoded_is_refused_with_its_place
    unknown = Object.new
    {json: unknown, msgpack: 1 << 70, marshal: proc { nil }}.each do |codec, object|
      reader, writer = pipe(codec: codec)
      [-> { writer.put({"jobs" => [1, 2, {"x" => object}]}) },
       -> { writer.put_many([1, {"jobs" => [1, 2, {"x" => object}]}]) }].each do |call|
        error = assert_raises(StandardError, &call)
        assert_includes error.message, 'at ["jobs"][2]["x"]', codec.to_s
        assert(error.backtrace.any? { |line| line.start_with?("#{__FILE__}:") })
      end
      refute_includes assert_raises(StandardError) { writer.put(object) }.message, "at ["
      writer.put("next")
      assert_equal "next", reader.get
    end
  end

  def test_several_handles_and_processes_are_waited_for
    reader, writer = pipe
    other, = pipe
    child = start { sleep }
    assert_empty Gipc.wait([reader, other, child], timeout: 0)
    assert_empty Gipc.wait([reader, other, child], timeout: 0.001)
    assert_equal [writer], Gipc.wait([reader, writer])
    waiting = until_waiting(Thread.new { Gipc.wait([other, reader, child]) })
    writer.put(1).put(2)
    assert_equal [reader], waiting.value
    assert_equal 1, reader.get
    assert_equal [reader], Gipc.wait([reader], timeout: 60) # also where it is received already
    assert_equal 2, reader.get
    waiting = until_waiting(Thread.new { Gipc.wait([reader, child]) })
    child.kill
    assert_equal [child], waiting.value
    child.join
    writer.close
    other.close
    assert_equal [reader, child, other], Gipc.wait([reader, child, other])
    assert_equal [], Gipc.wait([], timeout: 0)
  end

  def test_several_handles_and_processes_are_waited_for_under_async
    needs :Async
    reader, writer = pipe
    child = start { sleep }
    Async do |task|
      waiting = task.async { Gipc.wait([reader, child]) }
      task.yield
      assert_predicate waiting, :running?
      writer.put(1)
      assert_equal [reader], waiting.wait
      reader.get
      waiting = task.async { Gipc.wait([reader, child]) }
      task.async { child.kill }
      assert_equal [child], waiting.wait
    end.wait
  end

  def test_one_direction_can_be_closed
    mine, peer = pipe(duplex: true)
    mine.close_write
    assert_equal [true, false], [mine.readable?, mine.writable?]
    assert_raises(EOFError) { peer.get }
    peer.put("still")
    assert_equal "still", mine.get
  end

  # H127
  def test_a_close_has_a_deadline_and_an_abort_has_none
    writer, peer = bare_writer(buffer: 4608)
    assert_raises(Gipc::Timeout) { writer.put("x" * 100_000, timeout: 0) }
    assert_raises(Gipc::Timeout) { writer.close(timeout: 0.01) }
    assert_predicate writer, :closed?
    assert_operator peer.read.bytesize, :<, 100_000
    assert_raises(Gipc::Closed) { writer.close(timeout: 0.01) }

    writer, = bare_writer(buffer: 4608)
    assert_raises(Gipc::Timeout) { writer.put("x" * 100_000, timeout: 0) }
    assert_nil writer.abort
    assert_predicate writer, :closed?
    writer, peer = bare_writer
    writer.put("sent")
    assert_nil writer.close(timeout: 0)
    assert_equal frame("sent"), peer.read
  end

  def test_a_process_is_stopped_with_a_grace_period
    said, say = pipe
    child = start(say, group: :new) do |h|
      trap(:TERM, "IGNORE")
      grandchild = Process.fork { sleep } # which no one else ends
      trap(:TERM) { h.put(:asked) }
      h.put(grandchild)
      sleep
    end
    grandchild = said.get
    child.stop_group(grace: 0.2)
    assert_equal(-9, child.exitcode)
    assert_equal :asked, said.get
    until_gone(grandchild)
    assert_raises(Gipc::Dead) { child.signal_group(:TERM) }
    assert_equal(-9, child.stop_group.exitcode)
    child = start(group: :new) { sleep }
    assert_equal(-15, child.stop(grace: 60).exitcode)
    other = start { sleep }
    assert_raises(Errno::EINVAL) { other.signal_group("SIGTERM") }
  end

  TREE = "trap '' TERM; (setsid sh -c 'echo $$; exec sleep 60' &); trap - TERM; echo up; exec sleep 60"

  def test_a_tree_ends_with_its_child
    child = exec(["sh", "-c", TREE], stdout: :pipe, group: :tree)
    escaped = ([child.stdout.gets, child.stdout.gets] - ["up\n"]).first.to_i
    refute_includes [0, child.pid], escaped
    assert_equal(-15, child.stop(grace: 60).exitcode)
    info = child.exit_info
    if info.tree == :session # a process group does not have it
      Process.kill(:KILL, escaped)
    else
      assert_includes %i[cgroup subreaper], info.tree
      assert_operator info.left, :>=, 1
      assert_equal info.left, info.killed
    end
    assert_empty child.stdout.read # the end comes when nobody has the pipe
    child.stdout.close
    assert_nil exec(%w[true]).join.exit_info.tree
    error = assert_raises(ArgumentError) { start(group: :tree) { nil } }
    assert_match(/:tree is for exec_process/, error.message)
  end

  def test_exit_info_says_how_the_status_is_known
    info = start { exit 3 }.join.exit_info
    assert_includes %i[wait kernel child], info.how
    assert_equal [3, nil, false], [info.code, info.signal, info.core]
    assert_operator info.max_rss, :>, 0 if info.max_rss
    assert_equal :exit, info.ended
  end

  def test_a_put_many_that_times_out_says_how_many_were_accepted
    writer, peer = bare_writer(buffer: 4608)
    messages = Array.new(300) { |i| "#{i} ".ljust(5000, "x") }
    error = assert_raises(Gipc::Timeout) { writer.put_many(messages, timeout: 0.01) }
    assert_operator error.accepted, :>, 0
    assert_operator error.accepted, :<, 300
    refute_predicate error, :withdrawn?
    rest = Thread.new { peer.read }
    writer.close
    assert messages_in(rest.value) == messages.first(error.accepted)
  end

  def test_handles_are_used_in_the_manner_of_io
    writer, peer = bare_writer(buffer: 4608)
    reader, sender = bare_reader
    sent = 0
    sent += 1 while writer.put_nonblock("x" * 1000, exception: false) != :wait_writable
    assert_raises(IO::WaitWritable) { writer.put_nonblock("x") }
    assert_equal %i[w r], [writer.events, reader.events]
    assert_operator writer.pending[:write], :<=, 1004
    bytes = peer.read(sent * 1004)
    assert_equal sent, messages_in(bytes).size
    assert_equal 1 << 30, reader.limit
    reader.limit = 50_000
    assert_equal 50_000, reader.limit
    buffer = +"it is used again"
    sender.write(frame("small"), frame("y" * 40_000))
    assert_same buffer, reader.get_into(buffer)
    assert_equal ["small", Encoding::BINARY], [buffer, buffer.encoding]
    assert_equal "y" * 40_000, reader.get_into(buffer)
    assert_raises(Gipc::Timeout) { reader.get_into(buffer, timeout: 0) }
    buffer << "can be changed"
    assert_same writer, writer.set_marks(1000, 2000)
  end

  def test_the_modules_of_the_codecs_are_names_of_them
    require "json"
    require "msgpack"
    {JSON => '"é"', MessagePack => "\xA2é".b}.each do |codec, bytes|
      writer, peer = bare_writer(codec: codec)
      writer.put("é")
      assert_equal frame(bytes), peer.readpartial(100)
      assert_raises(StandardError) { writer.put(codec == JSON ? Float::NAN : 1 << 70) }
    end
  end

  def test_what_is_private_is_private
    %i[Native Child Condition Deadline Descriptor Failure FairLock Transfer Worker].each do |name|
      assert Gipc.const_defined?(name)
      refute_includes Gipc.constants, name
    end
  end

  def test_an_exception_whose_message_raises_is_printed
    odd = Class.new(StandardError) { def message = raise("again") }
    printed = standard_error { assert_equal 1, start { raise odd }.join.exitcode }
    assert_match(/surface_test\.rb:\d+:in/, printed)
  end

  def test_a_process_of_another_process_can_be_inspected
    child = start { sleep }
    reader, writer = IO.pipe
    pid = Process.fork do
      writer.write(child.inspect)
      exit!(0)
    end
    writer.close
    assert_match(/#{child.pid} of another process/, reader.read)
    Process.wait(pid)
    reader.close
  end

  def test_any_enumerable_can_be_put
    reader, writer = pipe
    writer.put_many([1, 2].lazy.map { |i| i * 2 }).put_many({a: 1}).put_many(5..6)
    writer.close
    assert_equal [2, 4, [:a, 1], 5, 6], reader.to_a
  end

  # As with `path:` in a Gemfile.
  def test_a_library_that_is_not_compiled_says_what_to_do
    output = IO.popen([RbConfig.ruby, "-I#{ROOT}/bindings/ruby/lib", "-e", "require 'gipc'"],
                      err: %i[child out], &:read)
    assert_match(/not compiled.*path:.*make/m, output)
  end

  private

  def there?(name)
    owner, method = name.split(".")
    return Gipc.respond_to?(method) if owner == "Gipc"
    return Object.const_defined?(name) unless method

    CLASSES.fetch(owner).method_defined?(method)
  end

  # Another process than this one's child.
  def until_gone(pid)
    sleep(0.001) while Process.kill(0, pid) && File.read("/proc/#{pid}/stat")[/\) (\w)/, 1] != "Z"
  rescue Errno::ESRCH, Errno::ENOENT
    nil
  end
end

SurfaceTest.also_under_async except: %w[several_handles_and_processes_are_waited_for]
