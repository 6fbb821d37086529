# frozen_string_literal: true

# A parent in Ruby, for a child in any language.
#   parent.rb LANGUAGE COMMAND...
# COMMAND starts the child.  Each step is named on stdout before it begins.

require "gipc"
require "msgpack"
require_relative "../bindings/golden"
require_relative "peer"

LANGUAGE, *COMMAND = ARGV
CODE = 7
DECODE = {"msgpack" => ->(data) { MessagePack.unpack(data) },
          "json" => ->(data) { JSON.parse(data) }}.freeze

def step(name)
  puts name
  $stdout.flush
end

# Starts the child with the handles by their names.
def start(*words, **theirs)
  Gipc.exec_process([*COMMAND, *words], handles: theirs)
end

def expect_end(process, code)
  process.join
  raise "the child ended with #{process.exitcode}" unless process.exitcode == code
end

def expect_echo(handle, message)
  handle.put(message)
  raise "the child gave something else back" unless handle.get == message
end

# Whether many messages went through a ring, which a stock peer does not know, and
# the portable half of the library does not have.
def expect_transport(*in_use)
  plain = LANGUAGE == "stock" || ENV["GIPC_TEST_OS"] == "posix"
  raise "in use: #{in_use}" unless in_use.uniq == [plain ? :plain : :ring]
end

def expect_value(handle, codec, entry)
  handle.put(entry.value)
  got = handle.get
  good = entry.back_from(LANGUAGE, codec).any? do |back|
    back ? Golden.same?(got, DECODE[codec].call(back)) : refusal?(got)
  end
  raise "#{entry.name}: #{got.inspect}" unless good
end

def refusal?(value)
  value.is_a?(Hash) && value.keys == ["refused"]
end

def expect_values(handle, codec)
  Golden::ENTRIES.each do |entry|
    expect_value(handle, codec, entry) if entry.bytes[codec]
  end
  handle.close
end

def run_script
  into, to = Gipc.pipe(codec: :raw)
  from, out = Gipc.pipe(codec: :raw)
  both, their_both = Gipc.pipe(duplex: true, codec: :raw)
  msgpack, their_msgpack = Gipc.pipe(duplex: true, codec: :msgpack)
  json, their_json = Gipc.pipe(duplex: true, codec: :json)
  process = start("script", CODE.to_s, in: into, out: out, both: their_both,
                                  msgpack: their_msgpack, json: their_json)
  Peer.put_stream(to, seed: 1)
  Peer.get_stream(from)

  step "transport"
  expect_transport(to.stats[:transport_out], from.stats[:transport_in])

  step "large"
  expect_echo(both, "")
  expect_echo(both, Random.bytes(1 << 20) * 64)
  expect_echo(both, "end")
  both.close

  step "values"
  expect_values(msgpack, "msgpack")
  expect_values(json, "json")

  step "code"
  expect_end(process, CODE)
end

def kill_inside_a_message
  from, out = Gipc.pipe(codec: :raw)
  process = start("cut", out: out)
  from.get
  from.to_io.wait_readable
  process.kill
  begin
    from.get
    raise "a message that was cut is not reported"
  rescue Gipc::Truncated
    expect_end(process, -Signal.list["KILL"])
  end
end

def close_at_once
  both, their_both = Gipc.pipe(duplex: true, codec: :raw)
  process = start("end", both: their_both)
  both.close
  expect_end(process, 0)
end

step "stream"
run_script
step "cut"
kill_inside_a_message
step "end"
close_at_once
