# frozen_string_literal: true

# A worker of the demo in Ruby; message.h describes the messages.

begin
  require "gipc"
  require "msgpack"
rescue LoadError => e
  abort e.message
end

LEFT_OUT = ENV["UNPRINTABLE_IS_WORD"] ? "" : "^ -~\t-\r" # for String#delete

def kind(byte)
  return "neither" if byte.nil?

  byte.match?(/\s/) ? "space" : "word"
end

Gipc.serve(codec: :msgpack) do |chunk|
  text = chunk.delete(LEFT_OUT)
  {
    "language" => "Ruby #{RUBY_VERSION}", "bytes" => chunk.bytesize,
    "lines" => text.count("\n"), "words" => text.split.size,
    "first" => kind(text[0]), "last" => kind(text[-1])
  }
end
