# frozen_string_literal: true

# The work of the soak in Ruby: soak.rb threads|async SEED TRIPS CHILDREN.
# Prints a line after each batch, as tests/soak/run reads it, and waits for a word.

require "fiddle"
require "gipc"
require_relative "soak_child"

# Where the other ends of the pipes work.
class Threads
  def beside(&block) = Thread.new(&block)

  def join(job) = job.join

  def cancel(job)
    Thread.pass until job.stop?
    job.kill.join
  end

  def run = yield
end

# The same as tasks of Async.
class Tasks < Threads
  def beside(&block) = Async::Task.current.async(&block)

  def join(job) = job.wait

  def cancel(job) = job.stop

  def run(&block)
    Async(&block).wait
  end
end

class Soak
  KINDS = [:auto, :ring, :plain, nil].freeze
  ENDS = %w[return exit exit! signal killed].freeze
  HEAP = Fiddle::Function.new(
    Fiddle.dlopen(ENV.fetch("GIPC_SOAK_HEAP"))["soak_heap"], [], Fiddle::TYPE_SIZE_T
  )

  def initialize(world, seed)
    @world = world
    @random = Random.new(seed)
    @block = @random.bytes(1 << 20)
    @template = Gipc::Template.new(preload: [File.expand_path("soak_child.rb", __dir__)])
    @pipes = 0
  end

  def run(counts)
    done = [0, 0]
    loop do
      %i[trips children].each_with_index do |kind, i|
        send(kind, counts[i])
        done[i] += counts[i]
        3.times { GC.start }
        puts ["sample", *done, HEAP.call, GC.stat(:heap_live_slots)].join(" ")
        $stdout.flush
        return if $stdin.gets != "go\n"
      end
    end
  end

  private

  def pair(kind)
    return Gipc.pipe(duplex: true, transport: kind, codec: :raw) if kind

    (r1, w1), (r2, w2) = IO.pipe, IO.pipe
    [Gipc.open(r1, w2, codec: :raw), Gipc.open(r2, w1, codec: :raw)]
  end

  # Most messages are small, some have up to 1 MiB.
  def message
    size = @random.rand < 0.9 ? @random.rand(256) : (2**(20 * @random.rand)).to_i
    @block.byteslice(0, size)
  end

  def check(got, expected)
    raise "#{got.inspect[0, 100]} instead of #{expected.inspect[0, 100]}" if got != expected
  end

  def exchange(handle)
    sent = message
    handle << sent
    if @random.rand < 0.02 # in the middle of a message, where it is large
      begin
        return check(handle.get(timeout: 0), sent)
      rescue Gipc::Timeout
        # It is got below.
      end
    end
    check(handle.get, sent)
  end

  def time_out_a_put(handle)
    begin
      handle.put(@block, timeout: 0)
    rescue Gipc::Timeout => e
      return if e.withdrawn?

      handle.flush
    end
    check(handle.get, @block)
  end

  def cancel_a_get(handle)
    @world.cancel(@world.beside { handle.get })
  end

  def move_a_writer(handle)
    reader, writer = Gipc.pipe(codec: :raw)
    handle.put("moves", ios: [writer])
    check(reader.get, "moved")
    reader.close
  end

  def use_a_pipe(count)
    kind = KINDS[@pipes % KINDS.size]
    @pipes += 1
    mine, theirs = pair(kind)
    peer = @world.beside { SoakChild.echo(theirs) }
    count.times do
      case @random.rand(200)
      when 0 then time_out_a_put(mine)
      when 1 then cancel_a_get(mine)
      when 2 then kind && move_a_writer(mine)
      else exchange(mine)
      end
    end
    close(mine)
    @world.join(peer)
  end

  def close(handle)
    case @random.rand(3)
    when 0 # the other end first
      handle << "close"
      begin
        check(handle.get, nil)
      rescue EOFError
        # As it must be.
      end
    when 1 # with an answer that is not got
      handle << @block.byteslice(0, 5000)
    end
    handle.close
  end

  def trips(count)
    until count.zero?
      use_a_pipe(part = [count, 250].min)
      count -= part
    end
  end

  def run_a_program
    number = @random.rand(100)
    code = [-9, -15, number][number % 3]
    argv = [["sh", "-c", "kill -9 $$"], %w[sleep 60], ["sh", "-c", "exit #{number}"]][number % 3]
    child = Gipc.exec_process(argv)
    child.terminate if code == -15
    check(child.join.exitcode, code)
  end

  def run_a_function(template)
    how = ENDS[@random.rand(ENDS.size)]
    number = @random.rand(256)
    mine, theirs = Gipc.pipe(duplex: true)
    child = if template
              @template.start(SoakChild, :answer_and_end, theirs, how, number)
            else
              Gipc.start_process(theirs) { |handle| SoakChild.answer_and_end(handle, how, number) }
            end
    3.times { exchange(mine) }
    child.kill if how == "killed"
    mine.close if @random.rand < 0.5
    code = {"return" => 0, "signal" => -15, "killed" => -9}.fetch(how, number)
    check(child.join.exitcode, code)
    mine.abort unless mine.closed?
  end

  def run_a_pool
    pool = Gipc::Pool.open(2, &:abs)
    check(pool.map(-9..0).to_a, (0..9).to_a.reverse)
    pool.close
  end

  def children(count)
    count.times do |i|
      i % 5 == 4 ? run_a_program : run_a_function(i % 5 > 1)
    end
    run_a_pool
  end
end

require "async" if ARGV[0] == "async"
world = {"threads" => Threads, "async" => Tasks}.fetch(ARGV[0]).new
seed, *counts = ARGV[1..].map { |word| Integer(word) }
world.run { Soak.new(world, seed).run(counts) }
