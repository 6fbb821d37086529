# frozen_string_literal: true

# Programs as children: what they inherit, their streams, the options of a start.

require "tempfile"

class ProgramsTest < GipcTest
  def test_an_execd_child_inherits_by_name
    mine, yours = pipe(duplex: true, codec: :json)
    results, report = pipe(codec: :raw)
    script = <<~RUBY
      require "gipc"
      h = Gipc.inherit("numbers", codec: :json)
      Gipc.inherit(:report, codec: :raw) { |r| r.put(ENV.fetch("GIPC_HANDLES", "unset") + ENV["SET"] + Dir.pwd) }
      h.each { |n| h.put(n.map { |i| i * 2 }) }
      exit 5
    RUBY
    child = exec([*RUBY, "-e", script], handles: {"numbers" => yours, report: report},
                                        env: {"SET" => "!"}, chdir: "/")
    assert_raises(Gipc::Closed) { yours.get }
    mine.put([1, 2])
    assert_equal [2, 4], mine.get
    assert_equal "unset!/", results.get
    mine.close
    assert_equal 5, child.join.exitcode
  end

  # H94
  def test_a_name_not_passed_is_a_clear_error
    assert_raises(Errno::ENOENT) { Gipc.inherit("nobody") }
    assert_raises(Errno::EINVAL) { Gipc.inherit("no,name") }
    _, writer = pipe
    script = 'require "gipc"; begin; Gipc.inherit("b"); rescue Errno::ENOENT; exit 3; end'
    assert_equal 3, exec([*RUBY, "-e", script], handles: {a: writer}).join.exitcode
    stale = {"GIPC_HANDLES" => "in=0/r@1:1"}
    script = 'require "gipc"; begin; Gipc.inherit("in"); rescue Gipc::BadHandles; exit 4; end'
    assert_equal 4, exec([*RUBY, "-e", script], env: stale).join.exitcode
  end

  # H7
  def test_a_program_that_is_not_there_is_a_clear_error
    reader, writer = pipe
    assert_raises(Errno::ENOENT) { exec(["no-such-program"], handles: {a: writer}) }
    assert_raises(Errno::EACCES) { exec(["/etc/passwd"]) }
    assert_raises(Errno::ENOENT) { exec(["true"], chdir: "/no/such/place") }
    assert_raises(ArgumentError) { exec([]) }
    writer.put("still ours")
    assert_equal "still ours", reader.get
    writer.put("not taken")
    IO.select([reader])
    reader.get_nonblock # brings what follows into the process, too
    writer.put_many([1, 2])
    assert_equal 1, reader.get
    assert_raises(Errno::EBUSY) { exec(["true"], handles: {a: reader}) }
    assert_equal 2, reader.get
  end

  # As behind ssh: nothing but standard input and output is carried.
  def test_a_program_talks_over_its_standard_streams
    script = <<~RUBY
      print "printed too early, and not flushed"
      require "gipc"
      Gipc.stdio(codec: :json) do |h|
        puts "not a message"
        system("echo", "nor this")
        h << [STDIN.read, $stdin.fileno]
        h.each { |n| h << n + 1 }
      end
    RUBY
    printed = standard_error do
      child = exec([*RUBY, "-e", script], stdin: :pipe, stdout: :pipe)
      handle = Gipc.open(child.stdout, child.stdin, codec: :json)
      @handles << handle
      assert_equal ["", 0], handle.get
      assert_equal 42, handle.put(41).get
      handle.close
      assert_equal 0, child.join.exitcode
    end
    assert_equal ["nor this", "not a message", "printed too early, and not flushed"],
                 printed.lines(chomp: true).flat_map { |line| line.split(/(?<=flushed)/) }.sort
  end

  def test_a_program_behind_a_launcher_has_a_handle
    script = 'require "gipc"; Gipc.stdio { |h| puts "not a message"; h.each { |n| h << n + 1 } }; exit 3'
    passes_on = ["sh", "-c", 'cat | "$@" | cat; exit 4', "sh"]
    {[*RUBY, "-e", script] => 3, [*passes_on, *RUBY, "-e", script] => 4}.each do |argv, code|
      process, handle = Gipc.launch(argv, stderr: :null, name: "sum")
      keep(process)
      @handles << handle
      assert_equal [nil, nil, "sum"], [process.stdin, process.stdout, process.name]
      assert_equal [42, 2], [41, 1].map { |n| handle.put(n).get }
      handle.close
      assert_equal code, process.join.exitcode
    end
    process, handle = Gipc.launch(["cat"], codec: :json) do |child, lent|
      assert_equal [1], lent.put([1]).get
      [child, lent]
    end
    assert_predicate handle, :closed?
    assert_equal 0, keep(process).join.exitcode
  end

  def test_a_launch_that_is_not_valid_names_why
    assert_match(/option stdin/, assert_raises(ArgumentError) { Gipc.launch(["cat"], stdin: :pipe) }.message)
    assert_match(/option stdout/, assert_raises(ArgumentError) { Gipc.launch(["cat"], stdout: :null) }.message)
    assert_match(/unknown option: nmae/, assert_raises(ArgumentError) { Gipc.launch(["cat"], nmae: 1) }.message)
    assert_match(/codec/, assert_raises(ArgumentError) { Gipc.launch(["cat"], codec: :xml) }.message)
    assert_match(/argv/, assert_raises(TypeError) { Gipc.launch("ssh host") }.message)
    assert_match(%r{/no/such}, assert_raises(Errno::ENOENT) { Gipc.launch(["/no/such"]) }.message)
    assert_raises(Errno::ECHILD) { Process.wait(-1, Process::WNOHANG) }
  end

  # A user who may have no process more.
  def test_a_process_that_cannot_be_started_is_an_error_and_no_child
    options = {rlimits: {nproc: 0}}
    options[:user] = [65_534, 65_534] if Process.uid.zero? # which has no such limit
    child = keep(Gipc.start_process(**options) do
      pid = Process.pid
      [-> { Gipc.start_process { nil } }, -> { Gipc.exec_process(["true"]) }, -> { Gipc.launch(["true"]) }].each do |start|
        start.call
        exit!(5)
      rescue Errno::EAGAIN
        exit!(6) unless Process.pid == pid
      end
      exit!(7)
    end)
    assert_equal 7, child.join.exitcode
  end

  def test_standard_streams_can_be_pipes
    child = exec(["sh", "-c", "cat; echo error >&2; exit 1"], stdin: :pipe, stdout: :pipe, stderr: :pipe)
    @streams.push(child.stdin, child.stdout, child.stderr)
    child.stdin.write("through")
    child.stdin.close
    assert_equal %W[through error\n], [child.stdout.read, child.stderr.read]
    assert_equal 1, child.join.exitcode

    Tempfile.create do |file|
      assert_equal 0, start(stdout: file, stderr: :stdout, stdin: :null) {
        puts "printed", $stdin.read.inspect
        warn "warned"
      }.join.exitcode
      assert_equal "printed\n\"\"\nwarned\n", File.read(file.path)
    end
    assert_raises(ArgumentError) { exec(["true"], stdin: :nonsense) }
    assert_raises(ArgumentError) { exec(["true"], nonsense: 1) }
  end

  def test_options_reach_the_child
    child = exec(["sh", "-c", "echo $A $B; pwd; ulimit -n"], stdout: :pipe, chdir: "/usr",
                 env: {"A" => "set", "PATH" => ENV["PATH"]}, clear_env: true, rlimits: {nofile: [64, 64]})
    @streams << child.stdout
    assert_equal "set\n/usr\n64\n", child.stdout.read
    child = start(group: :new, env: {"A" => "b"}) { exit Process.getpgrp == Process.pid && ENV["A"] == "b" }
    assert_equal 0, child.join.exitcode
    kept, other = IO.pipe
    child = start(keep_fds: [kept.fileno]) do
      IO.for_fd(kept.fileno, autoclose: false)
      other.write("x")
    rescue Errno::EBADF
      exit 0
    else
      exit 1
    end
    assert_equal 0, child.join.exitcode
    [kept, other].each(&:close)
    assert_raises(Errno::ENOENT) { start(chdir: "/no/such/place") { nil } }
  end
end

ProgramsTest.also_under_async
