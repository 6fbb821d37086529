# frozen_string_literal: true

# Fibers of an Async reactor beside services that are kept running: one is ready when it
# says so, one ends again and again until it is given up, and one is reloaded.

require "async"
require "gipc"

keeper = Gipc.keep do |k|
  k.service(:store, notify: true) { Gipc.ready && sleep }
  k.program(:flaky, ["false"], first_delay: 0.01, limit: 2)
end

Async do |task|
  changes = task.async { keeper.each_change.select { |change| change.service == :store }.map(&:state) }
  begin
    keeper.wait
  rescue Gipc::GaveUp => e
    puts "#{e.service}: exit code #{e.exit_info.code} after #{keeper[:flaky].restarts} restarts"
  end
  keeper.reload(:store)
  puts "store: #{keeper[:store].state}"
  keeper.stop
  p changes.wait - [:ended]
end
