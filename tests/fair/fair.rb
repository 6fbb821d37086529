# frozen_string_literal: true

# What the loops of Ruby show of fairness, idleness and scale: see run.
#
#   fair.rb fair|control|idle|scale threads|async|eventmachine ...

require "gipc"
require_relative "fair_child"
require_relative "measure"

PEER = ENV.fetch("GIPC_FAIR_PEER")

# One thread for each task.
class Threads
  def run = yield

  def spawn(&block) = Thread.new(&block)

  def sleep(seconds) = seconds.zero? ? Thread.pass : Kernel.sleep(seconds)
end

# One fiber for each task.
class AsyncTasks
  def run
    require "async"
    Async do |task|
      @task = task
      yield
      task.stop
    end
  end

  def spawn(&block) = @task.async(&block)

  def sleep(seconds) = Kernel.sleep(seconds)
end

LOOPS = { "threads" => Threads, "async" => AsyncTasks }.freeze

def pipe(duplex: false) = Gipc.pipe(duplex: duplex, codec: :raw)

# Another watcher of the loop; with the period 0 it runs in each iteration.
def tick(loop, ticks)
  until ticks.over
    loop.sleep(ticks.next)
    ticks.ran
  end
end

def start_flood(handles, size, count)
  pipes = Array.new(handles.to_i) { pipe }
  full, notice = pipe
  passed = pipes.each_with_index.to_h { |(_, writer), i| [:"w#{i}", writer] }
  child = Gipc.exec_process([PEER, "flood", size, count], handles: { **passed, full: notice }, daemon: true)
  [pipes.map(&:first), full, child]
end

# Into one String after the other, or into one that is used again.
def take(reader, ticks, buffer)
  loop do
    buffer ? reader.get_into(buffer) : reader.get
    ticks.handled += 1
  end
rescue EOFError
  ticks.transports << reader.stats[:transport_in]
  reader.close
end

def fair(loop, handles, size, count, period, into = nil)
  readers, full, child = start_flood(handles, size, count)
  ticks = Ticks.new(period.to_f)
  full.get
  loop.spawn { tick(loop, ticks) }
  loop.sleep(0.001) while ticks.runs < 2
  left = readers.size
  readers.drop(1).each do |reader|
    loop.spawn do
      take(reader, ticks, into && +"")
      left -= 1
    end
  end
  take(readers.first, ticks, into && +"")
  loop.sleep(0.001) while left > 1
  child.join
  ticks.report
end

# The reactor calls back when a descriptor is readable; the program takes a share of
# messages and bytes.
module Watcher
  SHARE = 256
  SHARE_OF_BYTES = 256 * 1024

  def begin_with(reader, ticks, readers)
    @reader = reader
    @ticks = ticks
    @readers = readers
    self
  end

  def notify_readable
    self.notify_readable = false
    bytes = 0
    SHARE.times do
      message = @reader.get_nonblock(exception: false)
      if message == :wait_readable
        self.notify_readable = true
        return
      end
      @ticks.handled += 1
      break if (bytes += message.bytesize) >= SHARE_OF_BYTES
    end
    # What the handle holds does not make the descriptor readable.
    EventMachine.next_tick { notify_readable }
  rescue EOFError
    @ticks.transports << @reader.stats[:transport_in]
    detach
    @reader.close
    EventMachine.stop if @readers.all?(&:closed?)
  end
end

# The block, with another watcher beside it.
def on_eventmachine(ticks)
  require "eventmachine"
  EventMachine.run do
    again = lambda do
      ticks.ran
      EventMachine.add_timer(ticks.next, &again)
    end
    EventMachine.add_timer(0, &again)
    yield
  end
  ticks.report
end

def fair_on_eventmachine(handles, size, count, period)
  readers, full, = start_flood(handles, size, count)
  full.get
  ticks = Ticks.new(period.to_f)
  on_eventmachine(ticks) do
    readers.each do |reader|
      EventMachine.watch(reader.to_io, Watcher).begin_with(reader, ticks, readers).notify_readable = true
    end
  end
end

# Without gipc: Strings of this size are made and forgotten, which the collector ends now
# and then; or for the size 0 so much time passes.
def work(size, microseconds)
  return "#{$source ||= "x" * (size - 1)}y" if size.positive?

  till = now + (microseconds / 1e6)
  nil while now < till
end

def control(loop, size, microseconds, rounds, period)
  ticks = Ticks.new(period.to_f)
  loop.spawn { tick(loop, ticks) }
  rounds.to_i.times do
    work(size.to_i, microseconds.to_i)
    loop.sleep(0)
  end
  ticks.report
end

def control_on_eventmachine(size, microseconds, rounds, period, at_once)
  left = rounds.to_i / at_once.to_i
  on_eventmachine(Ticks.new(period.to_f)) do
    again = lambda do
      at_once.to_i.times { work(size.to_i, microseconds.to_i) }
      (left -= 1).positive? ? EventMachine.next_tick(&again) : EventMachine.stop
    end
    EventMachine.next_tick(&again)
  end
end

# Half of them functions, half programs; all of them sent a message.
def start_children(count)
  Array.new(count) do |i|
    mine, its = pipe(duplex: true)
    child = if i.odd?
              Gipc.exec_process([PEER, "answer"], handles: { h: its }, daemon: true)
            else
              Gipc.start_process(its, daemon: true) { |h| h.put("here") && h.each { nil } }
            end
    [child, mine]
  end.each { |_, mine| mine.get }
end

# A duplex pipe over rings, in use and then idle.
def use_ring
  mine, its = pipe(duplex: true)
  200.times do
    mine.put("x")
    its.get
    its.put("x")
    mine.get
  end
  [mine, its]
end

def start_services
  template = Gipc::Template.new(preload: [File.expand_path("fair_child.rb", __dir__)])
  tree = ["sh", "-c", "sleep 600 & wait"]
  pool = Gipc::Pool.open(2, least: 2, &:abs)
  keeper = Gipc.keep { |k| k.service(:works, notify: true) { Gipc.ready && sleep } }
  raise "the pool" unless pool.call(-1) == 1

  keeper.wait_ready
  [template, template.start(FairChild, :waits, daemon: true), Gipc.exec_process(tree, daemon: true, group: :tree),
   pool, keeper]
end

def idle(loop, handles, children)
  kept = start_children(children.to_i)
  $services = start_services
  mine, = $ring = use_ring
  $pipes = Array.new(handles.to_i) { pipe }
  waited = [*$pipes.map(&:first), mine]
  if loop.is_a?(AsyncTasks)
    waited.each { |reader| loop.spawn { reader.get } }
    kept.each { |child, _| loop.spawn { child.join } }
  end
  puts "idle transport=#{mine.stats[:transport_in]}"
  $stdout.flush
  if loop.is_a?(AsyncTasks)
    pipe.first.get
  else
    Gipc.wait(waited + kept.map(&:first))
  end
end

def take_each(loop, pipes)
  got = 0
  if loop.is_a?(AsyncTasks)
    pipes.each do |reader, _|
      loop.spawn do
        size = reader.get.size # others count meanwhile
        got += size
      end
    end
    pipes.each { |_, writer| writer.put("x") }
    loop.sleep(0.001) while got < pipes.size
  else
    pipes.each { |_, writer| writer.put("x") }
    got = Gipc.wait(pipes.map(&:first)).sum { |reader| reader.get.size }
  end
  pipes.flatten.each(&:close)
  got
end

def many_children(count)
  started = Array.new(count) do
    mine, its = pipe(duplex: true)
    [Gipc.exec_process([PEER, "answer"], handles: { h: its }, daemon: true), mine]
  end
  started.each { |_, mine| mine.get }
  started.each do |child, mine|
    mine.close
    raise "exit code #{child.exitcode}" unless child.join.exitcode.zero?

    child.close
  end
end

def scale(loop, handles, children)
  clock = Clock.new
  got = take_each(loop, Array.new(handles.to_i / 2) { pipe })
  handles_took = clock.lap
  many_children(children.to_i)
  report_scale(2 * got, children.to_i, handles_took, clock.lap)
end

body, name, *rest = ARGV
before = descriptors
if name == "eventmachine"
  send("#{body}_on_eventmachine", *rest)
else
  chosen = LOOPS.fetch(name).new
  chosen.run { send(body, chosen, *rest) }
end
check_nothing_left(before) if body == "scale"
