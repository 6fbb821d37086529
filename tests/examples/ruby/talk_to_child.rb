# frozen_string_literal: true

# A program that runs another one and talks to it in MessagePack.
#   talk_to_child.rb [COMMAND...]
# The command may be of any language: lua5.4 ../lua/talk_to_child.lua child; without
# one it runs itself.

require "gipc"

def child
  Gipc.inherit("parent", codec: :msgpack) do |parent|
    parent.each { |text| parent << {"question" => text, "answer" => text.reverse} }
  end
end

def itself
  paths = $LOAD_PATH.map { |path| "-I#{path}" }
  [RbConfig.ruby, *paths, __FILE__, "child"]
end

def parent(command)
  mine, yours = Gipc.pipe(duplex: true, codec: :msgpack)
  process = Gipc.exec_process(command, handles: {"parent" => yours})
  %w[stressed level].each do |text|
    got = mine.put(text).get(timeout: 20)
    puts "#{got["question"]} is #{got["answer"]}"
  end
  mine.close
  puts "the child ended with #{process.join.exitcode}"
end

ARGV == ["child"] ? child : parent(ARGV.empty? ? itself : ARGV)
