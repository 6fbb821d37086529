# frozen_string_literal: true

# A child in Ruby, for a parent in any language; child.c describes its commands.

require "gipc"
require_relative "peer"

def inherit(name, codec = :raw)
  Gipc.inherit(name, codec: codec)
end

# Until the end of the stream.
def echo(handle)
  loop do
    handle.put(handle.get)
  rescue EOFError
    return handle.close
  end
end

def script(code)
  handles = {in: :raw, out: :raw, both: :raw, msgpack: :msgpack, json: :json}
            .map { |name, codec| inherit(name, codec) }
  handles.each do |handle|
    raise "not closed on exec: #{handle}" unless handle.to_io.close_on_exec?
  end
  raise "the variable is left" if ENV.key?("GIPC_HANDLES")
  raise "something is left for a grandchild" unless system(ENV.fetch("GRANDCHILD"))

  begin
    inherit(:in)
    raise "a handle was inherited twice"
  rescue Errno::ENOENT
    nil
  end
  from, to, *rest = handles
  Peer.get_stream(from)
  Peer.put_stream(to, seed: 2)
  rest.each { |handle| echo(handle) }
  exit Integer(code)
end

def cut
  out = inherit(:out)
  out.put("now")
  out.put("\0" * (64 << 20))
end

def finish
  echo(inherit(:both))
end

def absent
  inherit(:nothing)
end

word, *arguments = ARGV
send({"script" => :script, "cut" => :cut, "end" => :finish, "absent" => :absent}.fetch(word),
     *arguments)
