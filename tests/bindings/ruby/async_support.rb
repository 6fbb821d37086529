# frozen_string_literal: true

# Runs the same tests under Async: each as a task, whose waits are the scheduler's.

# A task with the part of a thread's interface that the tests use.
class TaskJob
  def initialize(task) = @task = task

  def value = @task.wait

  def join = tap { @task.wait }

  def kill = tap { @task.stop }
end

# What a test class under Async does in another way.
module UnderAsync
  # Where a test of not_applicable.tsv cannot run.
  LEFT_OUT = File.readlines("#{ROOT}/tests/bindings/not_applicable.tsv", chomp: true)
                 .map { |line| line.split("\t") }
                 .select { |language, loops| language == "ruby" && loops.split.include?("async") }
                 .flat_map { |line| line[2].split }.freeze
  SCENARIOS = (File.readlines("#{ROOT}/tests/bindings/scenarios", chomp: true) - LEFT_OUT)
              .map { |name| "test_#{name}" }.freeze

  # The failure of a task is the failure of the test; what it has begun ends with it.
  def under_async
    failure = nil
    Async do
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException
      failure = e
    ensure
      @jobs&.each(&:kill)
    end
    raise failure if failure
  end

  def beside(&block)
    (@jobs ||= []) << (job = TaskJob.new(Async::Task.current.async(&block)))
    job
  end

  # A task waits when it has been begun.
  def waiting(&block) = beside(&block)

  def program(script) = "require 'async'\nAsync do\n#{script}\nend\n"

  # The numbers tell nothing of the loop.
  def full_count? = long?
end

class GipcTest
  # Makes a class of those of its tests that are scenarios, but for those that have
  # a test of their own for Async.
  def self.also_under_async(except: [])
    names = public_instance_methods(false).map(&:to_s) & UnderAsync::SCENARIOS
    names -= except.map { |name| "test_#{name}" }
    copy_under_async(names).define_singleton_method(:runnable_methods) { super() & names }
  end

  # Makes a class in which these tests are tasks of Async.
  def self.copy_under_async(names)
    copy = Class.new(self) do
      include UnderAsync

      define_singleton_method(:loop) { "async" }
      names.each do |name|
        define_method(name) do
          needs :Async
          under_async { super() }
        end
      end
    end
    Object.const_set("#{name}UnderAsync", copy)
  end
end
