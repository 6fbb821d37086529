# frozen_string_literal: true

# Processes that are kept running.

require_relative "keeper/errors"
require_relative "keeper/changes"
require_relative "keeper/service"
require_relative "keeper/plan"
require_relative "keeper/member"
require_relative "keeper/driver"

module Gipc
  # Services that are kept running, each of them one process: {Gipc.keep} makes it.
  #
  #   keeper = Gipc.keep do |k|
  #     k.program(:db, %w[sleep 1000], restart: :on_failure)
  #     k.service(:web, notify: true) { Gipc.ready; sleep }
  #   end
  #   keeper.wait_ready
  #   keeper[:db].pid
  #   keeper.reload(:web)
  #   keeper.stop
  #
  # Fibers and threads may share a keeper.  A call that waits lets other fibers run if
  # there is a Fiber::Scheduler, and other threads in any case; a thread of the keeper
  # waits for the processes.  The end of a wait by an exception (a timeout of a block,
  # Thread#raise, Interrupt) changes nothing of the keeper.  The services are daemons: they
  # are killed when this process ends, however it ends.  In a fork of the process that
  # made it, every method raises {WrongProcess}.
  class Keeper
    STRATEGIES = {one_for_one: Native::ONE_FOR_ONE, rest_for_one: Native::REST_FOR_ONE,
                  all_for_one: Native::ALL_FOR_ONE}.freeze
    private_constant :STRATEGIES

    # The services, in the order in which they start.
    # @return [Array<Service>]
    attr_reader :services

    private_class_method :new

    # @private
    def initialize(strategy, services)
      number = Rules.one_of(:strategy, STRATEGIES, strategy)
      raise ArgumentError, "a keeper needs a service" if services.empty?

      @crew = Native.keeper_new(number, services.map(&:rules))
      @services = services.each { |service| service.belong_to(self, @crew) }.freeze
      @driver = Driver.new(@crew, @services).start
    end

    # The service of this name.
    #
    # @param name [Symbol, String]
    # @return [Service]
    # @raise [KeyError] if there is none
    def [](name)
      @services.find { |service| service.name.to_s == name.to_s } or
        raise KeyError.new("no service: #{name.inspect} (there are: #{@services.map(&:name).join(", ")})",
                           receiver: self, key: name)
    end

    # Waits until no service is left: each one has finished, or was stopped.
    #
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely
    # @return [nil]
    # @raise [GaveUp] when a service is given up; the other ones may still run
    # @raise [Timeout] if a service is left
    def wait(timeout: nil)
      @driver.wait_until(Deadline.after(timeout)) { failed }
      error = failed
      raise error if error
    end

    # Waits until each service is ready, or has finished.
    #
    # @param (see #wait)
    # @return [self]
    # @raise [GaveUp] when a service is given up
    # @raise [Closed] if the keeper has stopped
    # @raise [Timeout] if one is not ready
    def wait_ready(timeout: nil)
      done = false
      @driver.wait_until(Deadline.after(timeout)) { failed || (done = @services.all?(&:up?)) }
      error = failed || (Closed.new("the keeper has stopped") unless done)
      raise error if error

      self
    end

    # Starts another process of a service, waits until that is ready, and stops the old
    # one.
    #
    # @param name (see #[])
    # @param timeout [Numeric, nil] seconds; nil, or negative: waits indefinitely.  The
    #   rule +ready_within+ ends a reload, and this ends only the wait for it
    # @return [self]
    # @raise [ReloadFailed] if the new process ended before it was ready, or could not be
    #   started; the old one runs on
    # @raise [KeyError] if there is no such service
    # @raise [Locked] if it is being reloaded
    # @raise [Dead] if no process of it runs
    # @raise [Timeout] if it is not over yet
    def reload(name, timeout: nil)
      service = self[name]
      deadline = Deadline.after(timeout)
      before = service.reloads
      Native.keeper_reload(@crew, service.index)
      @driver.wait_until(deadline) { service.reloads > before }
      error = service.reloads > before ? service.reload_error : Closed.new("the keeper has stopped")
      raise error if error

      self
    end

    # Sends a signal to the process of a service.
    #
    # @param name (see #[])
    # @param signal [Symbol, String, Integer]
    # @return [self]
    # @raise [KeyError] if there is no such service
    # @raise [Dead] if no process of it runs
    def signal(name, signal)
      number, = Native.keeper_process(@crew, self[name].index)
      @driver.signal(number, signal)
      self
    end

    # Yields what happens to the services, until the keeper has ended.  It begins with the
    # first changes, or, after more than 1024 of them, with the last 1024; a block that is
    # slower than the changes misses some.
    #
    #   keeper.each_change { |change| warn "#{change.service}: #{change.state}" }
    #
    # @yield [Change]
    # @return [self], or without a block an Enumerator
    def each_change
      return enum_for(:each_change) unless block_given?

      number = 0
      while (found = @driver.change_from(number))
        yield found.first
        number = found.last + 1
      end
      self
    end

    # Stops the services in the reverse order of their starts, each with SIGTERM and after
    # its grace period SIGKILL, and waits until no process is left.
    #
    # @return [nil]
    def stop
      Native.crew_stop(@crew, 0) unless @driver.stopped?
      @driver.await_stop(nil)
    end

    # Whether no service is left.
    def stopped?
      @driver.stopped?
    end

    # With its services and their states.
    def inspect
      "#<#{self.class} #{@services.map { |service| "#{service.name}: #{service.state}" }.join(", ")}>"
    rescue WrongProcess
      "#<#{self.class} of another process>"
    end

    # @private
    def initialize_copy(_other)
      raise TypeError, "#{self.class} cannot be copied (dup, clone)"
    end

    private

    # @return [GaveUp, nil]
    def failed
      @services.filter_map(&:failure).first
    end
  end

  class << self
    # Keeps services running: the block lists them, and they are started, in this order.
    #
    #   keeper = Gipc.keep do |k|
    #     k.program(:setup, ["true"], restart: :never)
    #     k.service(:job, notify: true, silence: 30, restart: :on_failure, first_delay: 1) do
    #       Gipc.ready
    #       10.times { Gipc.alive }
    #     end
    #   end
    #   begin
    #     keeper.wait        # until both have finished
    #   ensure
    #     keeper.stop
    #   end
    #
    # @param strategy [Symbol] which ones are restarted with one that ended: :one_for_one,
    #   no other one; :rest_for_one, those after it; :all_for_one
    # @yield [Keeper::Plan]
    # @return [Keeper]
    # @raise [ArgumentError, TypeError] which name the service, and the option
    def keep(strategy: :one_for_one)
      plan = Keeper::Plan.new
      yield plan
      Keeper.send(:new, strategy, plan.services)
    end

    # Reports that this process is ready: to the keeper that started it, or to another
    # supervisor that speaks sd_notify(3), such as systemd.
    #
    # @return [Boolean] false if there is none
    # @raise [Errno::ECONNREFUSED] and others, if it has ended
    def ready
      Native.notify_ready
      true
    rescue Errno::ENOENT
      false
    end

    # Shows a sign of life, for the rule +silence+: in a worker of a pool to the pool, in a
    # service to the keeper that started it, or to another supervisor that speaks
    # sd_notify(3).
    #
    # @return [Boolean] false if there is none
    # @raise [Errno::ECONNREFUSED] and others, if it has ended
    def alive
      worker = Worker.current
      worker ? worker.alive : Native.report_alive
      true
    rescue Errno::ENOENT
      false
    end
  end
end
