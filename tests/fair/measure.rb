# frozen_string_literal: true

# What fair.rb counts.

def now(clock = Process::CLOCK_MONOTONIC) = Process.clock_gettime(clock)

# When another watcher of the loop runs, and how many messages were handled since it ran
# last.
class Ticks
  attr_accessor :handled, :over
  attr_reader :runs, :transports

  def initialize(period)
    @period = period
    @handled = @seen = @worst = @runs = 0
    @due = now + period
    @late = []
    @work = []
    @worked = processor
    @transports = []
  end

  def processor = now(Process::CLOCK_PROCESS_CPUTIME_ID)

  # Seconds until it is due.
  def next = @period.zero? ? 0 : [@due - now, 0].max

  def ran
    time = now
    worked = processor
    if @runs.positive? # not what the loop does at its start
      @late << (time - @due)
      @work << (worked - @worked)
    end
    @worked = worked
    @due = [@due + @period, time].max
    see
    @runs += 1
  end

  # How long it works without a run, for 99 of 100 moments of its work.
  def longest_work
    passed = 0
    most = 0.99 * @work.sum
    @work.sort.find { |each| (passed += each) >= most }
  end

  def report
    @over = true
    see
    p50, p99 = [0.5, 0.99].map { |part| 1000 * @late.sort[(@late.size * part).to_i] }
    transport = @transports.uniq.sort.join("+")
    printf("messages=%d worst=%d runs=%d p50=%.3f p99=%.3f work=%.3f transport=%s\n", @handled, @worst, @runs,
           p50, p99, 1000 * longest_work, transport.empty? ? "none" : transport)
    $stdout.flush
  end

  private

  def see
    @worst = [@worst, @handled - @seen].max
    @seen = @handled
  end
end

# Time on the wall and of the processor since the last lap.
class Clock
  def initialize = lap

  def lap
    at = [now, now(Process::CLOCK_PROCESS_CPUTIME_ID)]
    before = @at || at
    @at = at
    at.zip(before).map { |one, other| one - other }
  end
end

def report_scale(handles, children, handles_took, children_took)
  printf("handles=%d wall=%.3f cpu=%.3f children=%d children_wall=%.3f children_cpu=%.3f\n", handles,
         *handles_took, children, *children_took)
end

def descriptors = Dir.children("/proc/self/fd").size

def check_nothing_left(before)
  left = descriptors - before
  # What Ruby and its loop keep open.
  raise "#{left} more descriptors than before" if left > 6

  Process.wait(-1, Process::WNOHANG)
  raise "a child is left"
rescue Errno::ECHILD
  nil
end
