# frozen_string_literal: true

# A pool in Ruby, of workers in any language.
#   pool.rb LANGUAGE COMMAND...
# COMMAND starts a worker.  Each step is named on stdout before it begins.

require "gipc"
require "msgpack"
require_relative "../bindings/golden"

LANGUAGE, *COMMAND = ARGV
RULES = {first_delay: 0.001, grace: 600}.freeze

def step(name)
  puts name
  $stdout.flush
end

def open_pool(codec)
  Gipc::Pool.open(2, argv: [*COMMAND, codec.to_s], codec: codec, **RULES)
end

def expect(wanted, got)
  raise "#{got.inspect}, not #{wanted.inspect}" unless got == wanted
end

def expect_reversed(pool)
  tasks = Array.new(100) { |number| "task #{number}" }
  expect(tasks.map(&:reverse), pool.map(tasks).to_a)
  large = Random.bytes(1 << 20)
  raise "another large result" unless pool.call(large) == large.reverse
end

def expect_failure(pool)
  pool.call("fail")
  raise "the task did not fail"
rescue Gipc::RemoteError => e
  expect("Refused", e.type.split(".").last)
  raise "its text: #{e.message}" unless e.message.include?("too groß")
  raise "its trace: #{e.backtrace}" unless e.backtrace.any?(/worker\./)
end

def expect_death(pool, task, **facts)
  beside = pool.submit("beside it")
  begin
    pool.call(task)
    raise "the worker did not end"
  rescue Gipc::WorkerDied => e
    facts.each { |name, value| expect(value, e.exit_info[name]) }
    expect(1, e.attempt)
  end
  expect("ti ediseb", beside.value)
end

# SIGTERM ends the worker; SIGKILL would take ten minutes.
def expect_timeout(pool)
  pool.call("hang", timeout: 0.05)
  raise "the task has no timeout"
rescue Gipc::TaskTimeout => e
  expect(Signal.list["TERM"], e.exit_info.signal)
end

def expect_value(pool, entry)
  got = begin
    pool.call(entry.value)
  rescue Gipc::RemoteError => e
    e
  end
  good = entry.back_from(LANGUAGE, "msgpack").any? do |back|
    back ? Golden.same?(got, MessagePack.unpack(back)) : got.is_a?(Gipc::RemoteError)
  end
  raise "#{entry.name}: #{got.inspect}" unless good
end

pool = open_pool(:raw)
step "tasks"
expect_reversed(pool)
step "fail"
expect_failure(pool)
step "exit"
expect_death(pool, "exit", code: 7)
step "kill"
expect_death(pool, "kill", signal: 9)
step "timeout"
expect_timeout(pool)
step "whole"
expect_reversed(pool)
step "stop"
pool.close
pool = open_pool(:msgpack)
step "values"
Golden::ENTRIES.each { |entry| expect_value(pool, entry) if entry.bytes["msgpack"] }
pool.close
