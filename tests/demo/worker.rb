# frozen_string_literal: true

# A worker of the demo in Ruby; message.h describes the messages.

begin
  require "gipc"
  DEMO = Gipc.inherit("demo", codec: :msgpack)
rescue LoadError => e
  abort e.message
end

ODD = "^ -~\t-\r" # as String#delete takes them

def kind(byte)
  return "neither" if byte.nil?

  byte.match?(/\s/) ? "space" : "word"
end

def count(chunk, left_out)
  text = left_out ? chunk.delete(left_out) : chunk
  {
    "bytes" => chunk.bytesize, "lines" => text.count("\n"),
    "words" => text.split.size, "first" => kind(text[0]),
    "last" => kind(text[-1])
  }
end

DEMO.put({ "language" => "Ruby #{RUBY_VERSION}" })
begin
  left_out = DEMO.get["unprintable is word"] ? nil : ODD
  DEMO.each { |chunk| DEMO.put(count(chunk, left_out)) }
rescue EOFError
  # there was no work
end
