# frozen_string_literal: true

# A worker of the benchmarks: measures what each line of its input asks for, as
# `one_way peer=NAME size=BYTES count=COUNT` (the peer decides), and answers with a figure or null.

require "gipc"
require_relative "jobs"
require_relative "pool_jobs"

PEERS = {
  "pipe" => ->(bytes, count) { plain(bytes, count) },
  "pipe_marshal" => lambda { |bytes, count|
    plain(bytes, count, dump: Marshal.method(:dump), load: Marshal.method(:load))
  },
  "gipc" => ->(bytes, count) { ours(bytes, :raw, count) },
  "gipc_many" => ->(bytes, count) { ours(bytes, :raw, whole(bytes, count), batch: true) },
  "gipc_marshal" => ->(bytes, count) { ours(bytes, :marshal, count) },
  "gipc_marshal_many" => ->(bytes, count) { ours(bytes, :marshal, whole(bytes, count), batch: true) },
  "pool" => ->(bytes, count) { pool_tasks(bytes, count) },
  "pool_ahead" => ->(bytes, count) { pool_tasks(bytes, count, AHEAD) },
  "parallel" => ->(bytes, count) { parallel_tasks(bytes, count) },
  "recovering_gipc" => ->(_, count) { recoveries(count, method(:recovering_gipc)) },
  "recovering_child" => ->(_, count) { recoveries(count, method(:recovering_child)) },
  "recovering_fork" => ->(_, count) { recoveries(count, method(:recovering_fork)) }
}.freeze

$stdin.each_line do |line|
  words = line.split.drop(1).to_h { |word| word.split("=") }
  bytes = ("x" * Integer(words["size"])).b
  puts PEERS.fetch(words["peer"]).call(bytes, Integer(words["count"])) || "null"
  $stdout.flush
end
