# frozen_string_literal: true

# A program that runs another one, here itself, and talks to it in MessagePack, as
# it would to one in Python, Lua or C.

require "gipc"

def child
  Gipc.inherit("parent", codec: :msgpack) do |parent|
    parent.each { |text| parent << {"question" => text, "answer" => text.reverse} }
  end
end

def parent
  mine, yours = Gipc.pipe(duplex: true, codec: :msgpack)
  paths = $LOAD_PATH.map { |path| "-I#{path}" }
  process = Gipc.exec_process([RbConfig.ruby, *paths, __FILE__, "child"],
                              handles: {"parent" => yours})
  %w[stressed level].each { |text| p mine.put(text).get(timeout: 20) }
  mine.close
  puts "the child ended with #{process.join.exitcode}"
end

ARGV.empty? ? parent : child
