# frozen_string_literal: true

# Children from a template: what they have, and the life of the template.

require "tempfile"
require_relative "template_jobs"

class TemplateTest < GipcTest
  JOBS = "#{__dir__}/template_jobs"

  def setup
    skip "the portable half has no templates" if ENV["GIPC_TEST_OS"] == "posix"
  end

  def teardown
    @template&.close
  end

  def test_a_child_has_what_was_loaded_and_is_one_of_this_process
    template(JOBS, "#{__dir__}/template_extra")
    random = Array.new(2) do |i|
      reader, writer = pipe
      child = launch(:tell, writer, i, "two", [nil, {a: 1}])
      pid, parent, named, extra, preload, number, values = reader.get(timeout: 60)
      assert_equal [child.pid, Process.pid, true, "constant", ENV.fetch("LD_PRELOAD", nil)], [pid, parent, named, extra, preload]
      assert_equal [i, "two", [nil, {a: 1}]], values
      assert_raises(EOFError) { reader.get }
      assert_equal 0, child.join.exitcode
      assert_equal %i[wait return], [child.exit_info.how, child.exit_info.ended]
      number
    end
    refute_equal(*random)
    refute Object.const_defined?(:TemplateExtra)
  end

  def test_exit_codes_of_a_template_are_those_of_a_child
    template
    run_one # so that the spare has another standard error
    printed = standard_error do
      {exits: [7, :exit], fails: [1, :exception], no_such_method: [1, :exception]}.each do |name, (code, ended)|
        child = launch(name, *([7] if name == :exits)).join
        assert_equal [code, ended], [child.exitcode, child.exit_info.ended], name
      end
    end
    assert_match(/of the child \(KeyError\)/, printed)
    assert_match(/no_such_method/, printed)
    assert_equal(-6, launch(:aborts, stderr: :null).join.exitcode)
    reader, writer = pipe
    child = launch(:holds, writer, name: "a name")
    assert_equal "held", reader.get(timeout: 60)
    assert_equal ["a name", true], [child.name, child.alive?]
    child.terminate
    assert_equal(-15, child.join.exitcode)
  end

  def test_handles_move_to_a_child_of_a_template
    template
    %i[marshal raw json msgpack].each do |codec|
      mine, yours = pipe(duplex: true, codec: codec)
      reader, writer = pipe
      child = launch(:echo, yours, writer)
      assert_predicate yours, :closed?
      100.times { assert_equal "text", mine.put("text").get(timeout: 60) } # on a ring, too
      mine.close_write
      assert_equal "end", reader.get(timeout: 60)
      assert_equal 0, child.join.exitcode
    end
  end

  def test_options_of_a_child_of_a_template_take_effect
    template
    file = Tempfile.new
    child = launch(:shows, chdir: "/tmp", env: {"A" => "b", "HOME" => nil}, stdin: :pipe, stdout: :pipe, umask: 0o77, keep_fds: [file.fileno])
    @streams.push(child.stdin, child.stdout)
    child.stdin.write("in")
    child.stdin.close
    assert_equal ["/tmp", "b", nil, "in"].inspect, child.stdout.read
    assert_equal 0, child.join.exitcode
    reader, writer = pipe
    {
      -> { launch(:tell, writer, chdir: "/no/such") } => [Errno::ENOENT, %r{/no/such}],
      -> { launch(:tell, writer, keep_all_fds: true) } => [Errno::EOPNOTSUPP, /keep_fds/],
      -> { launch(:tell, writer, program: "/bin/sh") } => [ArgumentError, /exec_process/],
      -> { launch(:tell, writer, nane: 1) } => [ArgumentError, /nane/],
      -> { launch(:tell, writer, "x" * 200_000) } => [Errno::E2BIG, /128 KiB/],
      -> { launch(:tell, writer, proc { nil }) } => [TypeError, /Proc/],
      -> { launch(:tell, writer, [writer]) } => [TypeError, /Handle/],
      -> { launch(:tell, writer, writer) } => [Errno::EINVAL, /given twice/],
      -> { @template.start("TemplateJobs", :tell) } => [TypeError, /module/],
      -> { @template.start(Module.new, :tell) } => [TypeError, /module/],
      -> { @template.start(TemplateJobs, 5) } => [TypeError, /5/],
      -> { Gipc::Template.new(preload: "json") } => [TypeError, /preload.*"json"/],
      -> { Gipc::Template.new(preload: [3]) } => [TypeError, /3/],
      -> { @template.dup } => [TypeError, /copied/],
      -> { Marshal.dump(@template) } => [TypeError, /belongs to the process/]
    }.each { |call, (error, text)| assert_match text, assert_raises(error, text.inspect, &call).message }
    writer.put("not passed")
    assert_equal "not passed", reader.get
    file.close!
  end

  def test_a_child_of_a_template_has_threads_and_traps
    template
    reader, writer = pipe
    child = launch(:runs_threads_and_traps, writer)
    assert_equal (0..9).to_a, reader.get(timeout: 60)
    assert_equal "ready", reader.get(timeout: 60)
    child.terminate
    assert_equal "trapped", reader.get(timeout: 60)
    assert_equal 5, child.join.exitcode
  end

  def test_streams_of_the_parent_end_beside_a_template
    template
    reader, writer = pipe
    told, tells = pipe
    launch(:holds, tells)
    assert_equal "held", told.get(timeout: 60)
    writer.close
    assert_raises(EOFError) { reader.get(timeout: 60) }
  end

  def test_threads_start_children_from_one_template
    template
    codes = Array.new(3) { |i| Thread.new { Array.new(3) { |k| launch(:exits, i * 3 + k).join.exitcode } } }
    assert_equal (0..8).to_a, codes.flat_map(&:value)
  end

  # ---- The life of the template

  def test_a_killed_template_is_replaced
    template
    kill(servers) # there is no spare yet
    run_one
    2.times do
      kill(servers.first(1))
      run_one
    end
    kill(servers)
    run_one
  end

  def test_what_cannot_be_loaded_is_an_error_of_the_constructor
    assert_match(/no_such_file/, assert_raises(LoadError) { template("no_such_file") }.message)
    {"raise 'broken'" => [LoadError, /broken \(RuntimeError\)/],
     "exit! 3" => [Gipc::Error, /ended during its start/],
     "Thread.new { sleep }" => [Gipc::Error, /started threads: #<Thread/]}.each do |text, (error, message)|
      Tempfile.create(["loaded", ".rb"]) do |file|
        file.write(text)
        file.close
        assert_match message, assert_raises(error) { template(file.path) }.message
      end
    end
    assert_empty servers
  end

  def test_a_template_ends_with_its_program
    reader, writer = pipe
    script = <<~RUBY
      require "gipc"
      require #{JOBS.inspect}
      template = Gipc::Template.new(preload: [#{JOBS.inspect}])
      template.start(TemplateJobs, :exits, 0).join
      Gipc.inherit("w").put(File.read("/proc/self/task/\#{Process.pid}/children").split.map(&:to_i))
      sleep
    RUBY
    child = exec([*RUBY, "-e", script], handles: {"w" => writer})
    pids = reader.get(timeout: 60)
    assert_equal 2, pids.size
    child.kill
    child.join
    pids.each { |pid| until_dead(pid) }
  end

  def test_a_template_is_closed
    assert_equal 3, Gipc::Template.open(preload: [JOBS]) { |one| keep(one.start(TemplateJobs, :exits, 3)).join.exitcode }
    assert_empty servers
    one = template
    assert_match(/open/, one.inspect)
    2.times { assert_nil one.close }
    assert_predicate one, :closed?
    assert_raises(Gipc::Closed) { launch(:exits, 0) }
  end

  private

  def template(*preload)
    @template = Gipc::Template.new(preload: preload.empty? ? [JOBS] : preload)
  end

  def launch(...) = keep(@template.start(TemplateJobs, ...))

  def run_one = assert_equal(3, launch(:exits, 3).join.exitcode)

  # The template, and its spare once a child was started.
  def servers = File.read("/proc/self/task/#{Process.pid}/children").split.map(&:to_i)

  def kill(pids)
    Process.kill(:KILL, *pids)
    pids.each { |pid| until_dead(pid) }
  end

  # It stays a zombie until it is reaped.
  def until_dead(pid)
    sleep(0.001) until File.read("/proc/#{pid}/stat")[/\) (\w)/, 1] == "Z"
  rescue Errno::ENOENT, Errno::ESRCH
    nil
  end
end
