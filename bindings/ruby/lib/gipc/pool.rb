# frozen_string_literal: true

# Worker processes that do tasks, and a new one in the place of each that ends.

require "etc"

require_relative "pool/errors"
require_relative "pool/failure"
require_relative "pool/outcome"
require_relative "pool/worker"
require_relative "pool/task"
require_relative "pool/member"
require_relative "pool/starter"
require_relative "pool/driver"
require_relative "pool/serve"

module Gipc
  # Worker processes that do tasks.  A worker that ends fails only the task that it had
  # ({WorkerDied}), and another one takes its place.
  #
  #   pool = Gipc::Pool.open(4, timeout: 30) { |job| job * 2 }
  #   pool.call(21)               # => 42
  #   pool.map(1..3).to_a         # => [2, 4, 6]
  #   pool.close
  #
  # Fibers and threads may share a pool.  A call that waits lets other fibers run if there
  # is a Fiber::Scheduler, and other threads in any case; a thread of the pool waits for
  # the workers.  Every method may raise {WrongProcess} in a child of the process that
  # opened the pool.
  class Pool
    RETRIES = {died: Native::RETRY_DIED, timed_out: Native::RETRY_TIMED_OUT,
               failed: Native::RETRY_FAILED}.freeze
    # Tasks for each worker that {#map} submits before the first result is taken.
    AHEAD = 8
    private_constant :RETRIES, :AHEAD

    # Opens a pool, whose workers are started when there are tasks.  The block is called
    # in a worker, a fork of this process, with each task, and its value is the result.
    #
    # Of +options+, these are rules of the pool; times are in seconds, and a negative one
    # is no limit: +least+ (workers that are kept without tasks; default 0),
    # +queue_limit+ (tasks that wait for a worker; default 1024), +queue_low+ (default
    # half of that), +retire_tasks+ and +retire_memory+ (a worker retires after so many
    # tasks, or at so many bytes; default never), +idle+ (a worker above +least+ ends
    # after so long without a task; default no limit), +ahead+ (tasks that a worker is sent
    # before it has answered the one that it does; default 0, not with +launch+), +poison+
    # (workers that one task may end; default 3), +prepare_failures+ (starts in a row that
    # may fail; default 3),
    # +ready_within+ and +silence+ (until a worker is ready, and between two calls of
    # {Gipc.alive}; default no limit), +dump+ (from the signal for a dump of the stacks to
    # the stop; default 5), +grace+ (from SIGTERM to SIGKILL; default 5), +first_delay+
    # (0.1), +longest_delay+ (30), +growth+ (2) and +jitter+ (0.5) of the delays before
    # starts after failures, +healthy+ (10), +limit+ of restarts in a +window+ (none, 60),
    # and +seed+ of the jitter.  0 is the default of each.  All others are options of a
    # start, see {Options}; +daemon+ is true.
    #
    # With +ahead+, short tasks take less time, as a worker does not wait for the next one.
    # A task that was sent ahead waits for those before it, also while another worker has
    # none, so use it for tasks that take about as long.  When a worker ends, the tasks that
    # it has not begun are done by another one; this is no attempt.  A cancel, and the
    # timeout, of such a task have their effect when it begins.
    #
    # @param workers [Integer, nil] most workers; default: the number of processors
    # @param argv [Array<String>, nil] a program for the workers, which calls
    #   {Gipc.serve}, or does the same in another language
    # @param launch [Array<String>, #call, nil] the same behind a launcher (ssh), see
    #   {Gipc.launch}; or what returns this array and is called at each start of a worker, in
    #   the thread of the pool: it chooses the host
    # @param codec (see Gipc.pipe) of tasks and results
    # @param prepare [#call, nil] is called once in each worker, before its first task
    # @param timeout [Numeric, nil] seconds of each task, then its worker is ended
    # @param priority [Integer] higher ones first
    # @param retries [Integer] how often a task is done again
    # @param retry_for [Symbol, Array<Symbol>] after what: :died, :timed_out, :failed
    # @param dump_signal [Symbol, nil] for a dump of the stacks of a silent worker;
    #   default USR1, for a program none
    # @return [Pool]
    # @raise [ArgumentError, TypeError] which name the option
    # @yield [job] in a worker
    def self.open(workers = nil, argv: nil, launch: nil, codec: :marshal, prepare: nil,
                  timeout: nil, priority: 0, retries: 0, retry_for: :died, dump_signal: nil, **options, &work)
      codec = Codec.of(codec)
      rules, start = Rules.split(options, Rules::POOL)
      rules["most"] = Options.count(:workers, workers, 1) if workers
      raise ArgumentError, "option ahead: not with launch:, as an answer may be lost in a launcher" if
        launch && rules["ahead"]&.positive?

      starter = Starter.new(argv, launch, codec, prepare, dump_signal, start, work)
      new(starter, codec, rules,
          timeout: timeout, priority: priority, retries: retries, retry_for: retry_for)
    end

    private_class_method :new

    # @private
    def initialize(starter, codec, rules, defaults)
      @codec = codec
      @defaults = defaults
      task_rules({})
      @tasks = {}
      @crew = Native.crew_new(rules)
      @ahead = (AHEAD + 2 * rules["ahead"].to_i) * (rules["most"] || Etc.nprocessors).to_i
      @driver = Driver.new(@crew, @tasks, starter, rules.key?("retire_memory")).start
    end

    # Does a task in a worker.  If an exception ends this call (a timeout of a block,
    # Thread#raise, Async::Task#stop), the task is cancelled.
    #
    # @param job [Object]
    # @param ios [Array<IO, Integer>, nil] up to 253 open files or descriptors, such as
    #   sockets, of which the worker gets copies: the block takes them with
    #   {Gipc.take_fds}.  They stay the caller's, who may close them after {#submit}
    # @param options [Hash] timeout, priority, retries, retry_for: as in {.open}, of this
    #   task
    # @return [Object] what the block returned
    # @raise (see Task#value)
    # @raise [Errno::EOPNOTSUPP] if the worker cannot be sent descriptors: it is behind a
    #   launcher, for example
    # @raise [Errno::EBADF, Errno::EMFILE]
    def call(job, ios: nil, **options)
      task = submit(job, ios: ios, **options)
      task.value
    ensure
      task.cancel if task && !task.done?
    end

    # Queues a task.  While the queue is full, this waits.
    #
    # @param (see #call)
    # @return [Task]
    # @raise [PoolClosed, PoolBroken]
    # @raise [TooBig] if it exceeds the limit of a message
    # @raise [TypeError] and others of the codec, if it cannot encode the job
    # @raise [Errno::EBADF, Errno::EMFILE] of the ios
    def submit(job, ios: nil, **options)
      submit_with(Condition.new, job, task_rules(options), ios)
    end

    # Queues a task without waiting.
    #
    # @param job [Object]
    # @param ios (see #call)
    # @param exception [Boolean] false: returns :wait_writable instead of raising
    # @param options (see #call)
    # @return [Task, :wait_writable]
    # @raise [IO::EAGAINWaitWritable] if the queue is full
    # @raise (see #submit)
    def submit_nonblock(job, ios: nil, exception: true, **options)
      task = new_task(job, Condition.new, ios)
      return task if queue(task, task_rules(options))
      return :wait_writable unless exception

      raise IO::EAGAINWaitWritable, "the queue of the pool is full"
    end

    # Does tasks, and yields their results in the order of the jobs, or in that in which
    # they are done.  Jobs are taken one by one, and so many at most are in the pool or
    # wait for the block.  At an exception, also of a task, and after +break+, the
    # remaining ones are cancelled.
    #
    #   pool.map(File.foreach("long"), retries: 1).each { |result| ... }
    #
    # @param jobs [Enumerable] may be endless
    # @param ordered [Boolean]
    # @param ahead [Integer, nil] default: for each worker 8, and twice those that it is
    #   sent ahead
    # @param options (see #call)
    # @yield [result]
    # @return [self], or without a block an Enumerator
    # @raise (see Task#value)
    def map(jobs, ordered: true, ahead: nil, **options)
      check_jobs(jobs)
      return enum_for(:map, jobs, ordered: ordered, ahead: ahead, **options) unless block_given?

      each_task(jobs, ordered, ahead, options) { |task| yield task.value }
    end

    # Does tasks, and yields each one when it is done, also if it has failed:
    # {Task#value} raises its error.
    #
    #   pool.each_result(paths) { |task| warn "#{task.job}: #{task.error}" if task.error }
    #
    # @param jobs (see #map)
    # @param ahead (see #map)
    # @param options (see #call)
    # @yield [Task]
    # @return [self], or without a block an Enumerator
    def each_result(jobs, ahead: nil, **options, &block)
      check_jobs(jobs)
      return enum_for(:each_result, jobs, ahead: ahead, **options) unless block

      each_task(jobs, false, ahead, options, &block)
    end

    # Counters of the pool.
    #
    # @return [Hash{Symbol => Object}] queued and running (tasks now), submitted, retries
    #   (executions after the first), starts, failures (workers that ended, and were not
    #   asked to); done, failed, died, timed_out and others: finished tasks, by their
    #   end; workers: for each worker a Hash of worker (its number), pid, state, task (the
    #   number of the one that it has), tasks (how many it was sent), busy (seconds that
    #   they took), memory (bytes, or nil)
    def stats
      stats = Native.crew_stats(@crew)
      finished = stats.delete(:finished)
      stats[:workers].each do |worker|
        worker[:state] = Driver::STATES[worker[:state]]
        worker[:memory] = Member.memory(worker[:pid])
      end
      ends = Driver::REASONS.zip(finished).drop(1)
      ends.select! { |name, count| count.positive? || %i[done failed].include?(name) }
      stats.merge(ends.to_h)
    end

    # Closes the pool.  It accepts no more tasks, and does those that it has; then the
    # workers end, and this returns.
    #
    # @param grace [Numeric, nil] after so many seconds the remaining tasks fail with
    #   {PoolClosed}, and the workers are stopped; nil, or negative: no limit
    # @return [nil]
    def close(grace: nil)
      stop(Deadline.after(grace)&.left || -1)
    end

    # Closes the pool now: its tasks fail with {PoolClosed}, and the workers are stopped.
    #
    # @return [nil]
    def abort
      stop(0)
    end

    # Whether it accepts no more tasks: it was closed, or has given up.
    def closed?
      @closed || @driver.stopped?
    end

    # With its counters.
    def inspect
      return "#<#{self.class} closed>" if closed?

      stats = Native.crew_stats(@crew)
      "#<#{self.class} #{stats[:workers].size} workers, #{stats[:running]} running, #{stats[:queued]} queued>"
    rescue WrongProcess
      "#<#{self.class} of another process>"
    end

    # @private
    def initialize_copy(_other)
      raise TypeError, "#{self.class} cannot be copied (dup, clone)"
    end

    private

    def submit_with(condition, job, rules, ios = nil)
      task = new_task(job, condition, ios)
      while true
        seen = @driver.drains
        return task if queue(task, rules)

        @driver.await_room(seen)
      end
    end

    def new_task(job, condition, ios)
      task = Task.new(@crew, job, @codec, condition, ios && Descriptor.numbers(ios))
      # Of a message, 13 bytes are its kind, number and attempt.
      raise TooBig, "a task of #{task.data.bytesize} bytes exceeds the limit" if
        task.data.bytesize > Handle::DEFAULT_LIMIT - 13

      task
    end

    # @return [Boolean] false: the queue is full
    def queue(task, rules)
      task.keep_fds
      number = Native.crew_submit(@crew, @tasks, task, rules)
      task.number = number if number
      !number.nil?
    rescue Closed
      raise closed_error
    ensure
      task.close_fds unless number
    end

    def closed_error
      @driver.broken || PoolClosed.new("the pool is closed").know(why: :stopped)
    end

    def task_rules(options)
      unknown = options.keys - @defaults.keys
      raise ArgumentError, "unknown option: #{unknown.join(", ")} (there are: #{@defaults.keys.join(", ")})" unless
        unknown.empty?

      rules = @defaults.merge(options)
      timeout = Deadline.after(rules[:timeout])&.left || -1
      raise ArgumentError, "option timeout: it is more than 0 seconds, not 0" if rules[:timeout]&.zero?

      [timeout, integer(:priority, rules), integer(:retries, rules), retry_mask(rules[:retry_for])]
    end

    def integer(name, rules)
      value = rules[name]
      raise TypeError, "option #{name}: an Integer is needed, not #{value.inspect}" unless value.is_a?(Integer)
      raise ArgumentError, "option #{name}: #{value} is not valid" if
        value.bit_length > 31 || (name == :retries && value.negative?)

      value
    end

    def retry_mask(names)
      Array(names).sum { |name| Rules.one_of(:retry_for, RETRIES, name) }
    end

    def check_jobs(jobs)
      raise TypeError, "jobs is an Enumerable, not #{jobs.inspect}" unless jobs.respond_to?(:each_entry)
    end

    def each_task(jobs, ordered, ahead, options)
      window = Options.count(:ahead, ahead || @ahead, 1)
      open = []
      rules = task_rules(options)
      finished = Condition.new
      jobs.each_entry do |job|
        open << submit_with(finished, job, rules)
        yield next_of(open, ordered, finished) while open.size >= window || done?(open, ordered)
      end
      yield next_of(open, ordered, finished) until open.empty?
      self
    ensure
      open&.each(&:cancel)
    end

    def done?(open, ordered)
      ordered ? open.first&.done? : open.any?(&:done?)
    end

    def next_of(open, ordered, finished)
      finished.wait_until(nil) { done?(open, ordered) }
      open.delete_at(ordered ? 0 : open.index(&:done?))
    end

    def stop(grace)
      @closed = true
      Native.crew_stop(@crew, grace) unless @driver.stopped?
      @driver.await_stop(nil)
    end
  end
end
