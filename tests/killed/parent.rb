# frozen_string_literal: true

# A parent in Ruby that starts daemons of every kind, until it is killed.  Prints a
# line before each start.

require "gipc"
require_relative "killed_child"

TREE = ["sh", "-c", "sleep 600 & setsid sleep 600 & (sleep 600 &) & wait"].freeze
SLEEP = %w[sleep 600].freeze

template = Gipc::Template.new(preload: [File.expand_path("killed_child.rb", __dir__)])
POOL = Gipc::Pool.open(2, least: 2, &:abs)
KEEPER = Gipc.keep do |k|
  k.service(:works, notify: true) { Gipc.ready && sleep }
  k.program(:sleep, SLEEP)
end
starts = [
  -> { Gipc.start_process(daemon: true) { sleep } },
  -> { Gipc.exec_process(SLEEP, daemon: true) },
  -> { Gipc.exec_process(TREE, daemon: true, group: :tree) },
  -> { template.start(KilledChild, :waits, daemon: true) },
]
running = []
starts.cycle.with_index do |start, i|
  puts i
  $stdout.flush
  if running.size == 8
    process = running.shift
    process.kill
    process.join
  end
  running << start.call
end
