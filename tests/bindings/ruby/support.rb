# frozen_string_literal: true

# What every Ruby test needs: ends that are closed, children that are ended,
# descriptors that are counted, a watchdog, and the closing line of the run.

ROOT = File.expand_path("../../..", __dir__)
BUILD = ENV.fetch("GIPC_TEST_BUILD", "#{ROOT}/build/linux")
LIBRARY = ["#{ROOT}/bindings/ruby/lib", "#{BUILD}/ruby"].freeze
$LOAD_PATH.unshift(*LIBRARY)

require "gipc"
require "json"
require "minitest"
require "socket"
require "timeout"

trap(:INT, "DEFAULT") # a shell that starts this in the background ignores it

# What streams carry, and how they break.
STREAMS = JSON.parse(File.read("#{__dir__}/../streams.json"))

# What is private to the library.
NATIVE = Gipc.const_get(:Native)

# The command of a Ruby program that finds the library.
RUBY = [RbConfig.ruby, "-W1", *LIBRARY.map { |folder| "-I#{folder}" }].freeze

%w[async eventmachine nio].each do |optional|
  verbose, $VERBOSE = $VERBOSE, nil
  require optional
rescue LoadError
  nil
ensure
  $VERBOSE = verbose
end

module Minitest
  # "skipped NAME: WHY" for each, then "N passed, N failed, N skipped", for
  # tests/run; and a line for each test, for coverage.sh and tests/hazards.
  class ClosingLine < StatisticsReporter
    def record(result)
      super
      path = ENV["GIPC_TEST_RESULTS"] or return
      name = result.name.delete_prefix("test_")
      loop = name[/_under_(async|eventmachine)$/, 1] || Object.const_get(result.klass).loop
      outcome = result.skipped? ? "skipped" : result.passed? ? "passed" : "failed"
      File.write(path, ["ruby", loop, name, outcome].join("\t") << "\n", mode: "a")
    end

    def report
      super
      results.select(&:skipped?).each do |result|
        io.puts "skipped #{result.name}: #{result.failure.message}"
      end
      failed = failures + errors
      io.puts "#{count - failed - skips} passed, #{failed} failed, #{skips} skipped"
    end
  end

  def self.plugin_closing_line_init(options)
    reporter << ClosingLine.new(options[:io], options)
  end
  extensions << "closing_line"
end

class GipcTest < Minitest::Test
  i_suck_and_my_tests_are_order_dependent! # so that a failure can be repeated
  SECONDS = 300

  # What its tests run on.
  def self.loop = "threads"

  def before_setup
    super
    @handles = []
    @processes = []
    @streams = []
    @watchdog = watchdog
    @descriptors = descriptors
  end

  def after_teardown
    @processes.each do |process|
      process.kill if process.alive?
      process.join
      process.close
    end
    @handles.each { |handle| handle.abort unless handle.closed? }
    @streams.each { |stream| stream.close unless stream.closed? }
    @watchdog.kill.join
    if passed? && descriptors != @descriptors
      GC.start # what belongs to other libraries' objects
      assert_equal @descriptors, descriptors, "descriptors that leaked"
    end
    assert_raises(Errno::ECHILD, "a zombie is left") { Process.wait(-1, Process::WNOHANG) }
    super
  end

  def pipe(**options)
    ends = Gipc.pipe(codec: :marshal, **options)
    @handles.concat(ends)
    ends
  end

  def start(*handles, **options, &block)
    keep(Gipc.start_process(*handles, **options, &block))
  end

  def exec(argv, **options)
    keep(Gipc.exec_process(argv, **options))
  end

  def keep(process)
    @processes << process
    process
  end

  # A reader, or a writer, and the bare socket at its other end.
  def bare_reader(codec: :raw, buffer: nil)
    socket, peer = sockets(buffer)
    @handles << (handle = Gipc.open(socket, nil, codec: codec))
    [handle, peer]
  end

  def bare_writer(codec: :raw, buffer: nil)
    socket, peer = sockets(buffer)
    @handles << (handle = Gipc.open(nil, socket, codec: codec))
    [handle, peer]
  end

  def sockets(buffer)
    pair = UNIXSocket.pair
    pair.each { |socket| socket.setsockopt(:SOCKET, :SNDBUF, buffer) } if buffer
    @streams.concat(pair)
    pair
  end

  def frame(bytes)
    [bytes.bytesize].pack("N") + bytes.b
  end

  # The whole messages in these bytes, none of which may be left.
  def messages_in(bytes)
    found = []
    until bytes.empty?
      size = bytes.unpack1("N")
      found << bytes.byteslice(4, size)
      assert_equal size, found.last.bytesize, "the stream is cut"
      bytes = bytes.byteslice(4 + size..)
    end
    found
  end

  # Waits until the thread waits.
  def until_waiting(thread)
    Thread.pass until thread.stop?
    thread
  end

  # Calls the block beside the test: here in a thread.
  def beside(&block) = Thread.new(&block)

  # The same, when it waits.
  def waiting(&block) = until_waiting(beside(&block))

  # What the block writes to standard error, in children too.
  def standard_error
    reader, writer = IO.pipe
    saved = STDERR.dup
    STDERR.reopen(writer)
    writer.close
    collected = Thread.new { reader.read }
    yield
    STDERR.reopen(saved)
    collected.value
  ensure
    STDERR.reopen(saved)
    saved.close
    collected&.join
    reader.close
  end

  # Puts messages of these sizes, then gets the other's.
  def talk(handle, mine, others)
    mine.each { |size| handle.put("x" * size, timeout: 30) }
    others.all? { |size| handle.get(timeout: 30).bytesize == size }
  end

  # Over one socket, and over a pipe for each direction.
  def ends_of_every_kind
    yield pipe(duplex: true, codec: :raw)
    there, back = IO.pipe, IO.pipe
    pair = [Gipc.open(back[0], there[1], codec: :raw),
            Gipc.open(there[0], back[1], codec: :raw)]
    yield pair
    pair.each { |handle| handle.close unless handle.closed? }
  end

  # Sizes and counts at random, for two.
  def plans
    seed = ENV["GIPC_TEST_SEED"]&.to_i || Random.new_seed
    puts "GIPC_TEST_SEED=#{seed}"
    random = Random.new(seed)
    4.times do
      yield(*Array.new(2) do
        Array.new(random.rand(7)) { random.rand([5000, 2_000_000].sample(random: random)) }
      end)
    end
  end

  def needs(library)
    skip "#{library} is not installed" unless Object.const_defined?(library)
  end

  # The text of a program that runs on what the test runs on.
  def program(script) = script

  # Whether it runs with the counts that its name tells.
  def full_count? = true

  def long?
    ENV["GIPC_TEST_LONG"] == "1"
  end

  # Seconds.
  def hangs_after = long? ? 60 * SECONDS : SECONDS

  private

  def descriptors
    return [] unless File.exist?("/proc/self/fd")

    Dir.children("/proc/self/fd").filter_map do |fd|
      target = File.readlink("/proc/self/fd/#{fd}")
      [fd.to_i, target] unless target.start_with?("/proc/")
    rescue Errno::ENOENT
      nil
    end.sort
  end

  def watchdog
    Thread.new do
      sleep(hangs_after)
      warn "#{self.class}##{name} hangs"
      Thread.list.each { |thread| warn "", thread.inspect, *thread.backtrace }
      @processes.each(&:kill)
      exit!(99)
    end
  end
end

require_relative "async_support"
