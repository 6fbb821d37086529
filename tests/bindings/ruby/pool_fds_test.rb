# frozen_string_literal: true

# Tasks of a pool with descriptors.

require "net/http"
require "socket"
require_relative "pool_support"

class PoolFdsTest < PoolTest
  def setup
    super
    skip "messages have descriptors on Linux only" if ENV["GIPC_TEST_OS"] == "posix"
  end

  # Writes the job to the descriptors of the task, and returns their number.
  WRITE = lambda do |job|
    Gipc.take_fds.each do |fd|
      IO.open(fd, "w") { |io| io.close_on_exec? ? io.write(job) : raise("it is inherited") }
    end.size
  end
  PROGRAM = <<~RUBY
    Gipc.serve { |job| Gipc.take_fds.each { |fd| IO.open(fd, "w") { |io| io.write(job) } }.size }
  RUBY

  # Workers that are forks have no other file of this process.
  def fds_pool(**options, &work)
    open_pool(1, **{keep_fds: []}, **options, &(work || WRITE))
  end

  # Yields the writing end of a pipe, which is closed here then.  No copy is left, and this
  # was written.
  def watched(text)
    reader, writer = line
    yield writer
    writer.close unless writer.closed?
    assert_equal text, reader.read_nonblock(100, exception: false).to_s
    assert_nil reader.read_nonblock(1, exception: false)
    reader.close
  end

  def check_gets(pool)
    assert_equal 0, pool.call("hello")
    watched("hellohello") { |io| assert_equal 2, pool.call("hello", ios: [io, io.fileno]) }
    assert_equal 0, pool.call("hello", ios: [])
  end

  def test_a_task_gets_its_descriptors
    check_gets(fds_pool)
    check_gets(program_pool(PROGRAM))
  end

  def test_a_launcher_has_none_and_says_so
    pool = program_pool(PROGRAM, launched: true)
    assert_equal 0, pool.call("hello")
    watched("") do |io|
      error = assert_raises(Errno::EOPNOTSUPP) { pool.call("hello", ios: [io]) }
      assert_match(/cannot be sent descriptors/, error.message)
    end
    assert_equal 0, pool.call("hello")
    assert_equal 1, pool.stats[:starts]
  end

  def test_a_submitted_task_keeps_them_until_it_is_sent
    pool = fds_pool(queue_limit: 3)
    readers = Array.new(20) do
      reader, writer = line
      task = pool.submit("a", ios: [writer])
      writer.close
      [reader, task]
    end
    readers.each do |reader, task|
      assert_equal 1, task.value
      assert_equal "a", reader.read
    end
  end

  def test_a_full_queue_keeps_none
    pool = fds_pool(queue_limit: 1) { sleep }
    pool.submit("a")
    until_true { pool.stats[:running] == 1 }
    watched("") do |io|
      task = pool.submit("a", ios: [io])
      2.times do
        assert_equal :wait_writable, pool.submit_nonblock("a", ios: [io], exception: false)
      end
      io.close
      task.cancel
      task.wait
    end
  end

  def test_those_not_taken_are_closed_after_the_task
    pool = fds_pool { |job| job || raise("no job") }
    watched("") { |io| pool.call(1, ios: [io]) }
    watched("") { |io| assert_raises(RuntimeError) { pool.call(nil, ios: [io]) } }
  end

  def test_a_task_that_is_done_again_gets_them_again
    died, dies = line
    pool = fds_pool(keep_fds: [died, dies].map(&:fileno)) do |job|
      fd = Gipc.take_fds.first
      if died.read_nonblock(1, exception: false) == :wait_readable
        dies.write("x")
        Process.kill(:KILL, Process.pid)
      end
      IO.open(fd, "w") { |io| io.write(job) }
    end
    watched("a") { |io| pool.call("a", ios: [io], retries: 1) }
  end

  def test_a_worker_that_dies_with_them_loses_nothing_else
    pool = fds_pool { |job| job == :die ? Process.kill(:KILL, Process.pid) : WRITE.call(job) }
    watched("") { |io| assert_raises(Gipc::WorkerDied) { pool.call(:die, ios: [io]) } }
    check_gets(pool)
  end

  def test_a_cancelled_task_closes_them
    pool = fds_pool { sleep }
    watched("") do |io|
      tasks = Array.new(2) { pool.submit(1, ios: [io]) }
      until_true { pool.stats[:running] == 1 }
      tasks.each(&:cancel)
      tasks.each { |task| assert_kind_of Gipc::TaskCancelled, task.wait.error }
    end
    watched("") do |io|
      Array.new(2) { pool.submit(1, ios: [io]) }
      pool.abort
    end
  end

  # No more descriptors can be had, or as many as before.
  ROOM = lambda do |job|
    next WRITE.call(job) unless %i[full room].include?(job)

    $last ||= File.open(File::NULL) # all below are in use
    $room ||= Process.getrlimit(:NOFILE)
    Process.setrlimit(:NOFILE, job == :full ? $last.fileno + 1 : $room.first, $room.last)
  end

  def test_a_worker_without_room_fails_the_task
    pool = fds_pool(&ROOM)
    pool.call(:full)
    watched("") { |io| assert_raises(Errno::EMFILE) { pool.call("a", ios: [io]) } }
    pool.call(:room)
    check_gets(pool)
    assert_equal 1, pool.stats[:starts]
  end

  def test_wrong_descriptors_are_refused
    pool = fds_pool
    assert_raises(Errno::EBADF) { pool.call(1, ios: [999]) }
    assert_raises(ArgumentError) { pool.call(1, ios: [0] * 254) }
    assert_raises(NoMethodError) { pool.call(1, ios: ["file"]) }
    assert_equal 0, pool.stats[:starts]
    assert_match(/not a worker/, assert_raises(Gipc::Error) { Gipc.take_fds }.message)
  end

  # Their finalizers run in the child, in which these numbers are those of other files.
  def test_files_of_the_parent_close_none_of_a_child_that_keeps_none
    files = Array.new(50) { File.open(File::NULL) }
    child = start(keep_fds: []) do
      files.clear
      others = Array.new(50) { File.open(File::NULL) }
      GC.start
      others.each(&:stat)
    end
    files.each(&:close)
    child.join
    assert_equal 0, child.exitcode
  end

  # ---- A listener

  # Answers a request with its path; returns the number of open descriptors.
  ANSWER = lambda do |_|
    socket = Socket.for_fd(Gipc.take_fds.first)
    path = socket.gets[/GET (\S+)/, 1]
    nil until socket.gets == "\r\n"
    socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: #{path.size}\r\n\r\n#{path}")
    socket.close
    Dir.children("/proc/self/fd").size
  end

  # In a child: some requests at a time.
  def ask(port, count)
    start do
      threads = Array.new(4) do |first|
        Thread.new do
          first.step(count - 1, 4) do |i|
            Net::HTTP.get(URI("http://127.0.0.1:#{port}/#{i}")) == "/#{i}" or exit!(1)
          end
        end
      end
      threads.each(&:join)
    end
  end

  def answer(pool, listener, count)
    child = ask(listener.addr[1], count)
    tasks = Array.new(count) do
      connection = listener.accept
      pool.submit(nil, ios: [connection]).tap { connection.close }
    end
    found = tasks.map(&:value).uniq
    child.join
    assert_equal 0, child.exitcode
    found
  end

  def test_the_sockets_of_a_listener_go_to_a_pool
    listener = TCPServer.new("127.0.0.1", 0)
    @streams << listener
    pool = open_pool(3, queue_limit: 8, keep_fds: [], &ANSWER)
    answer(pool, listener, 20)
    before = descriptors.size
    found = answer(pool, listener, long? ? 10_000 : 300)
    # A ring each way is possible, also in the workers.
    assert_operator descriptors.size, :<=, before + 3
    assert_operator found.max, :<=, found.min + 2
    assert_equal 0, pool.stats[:failed]
  end

  each_also_under_async
end
