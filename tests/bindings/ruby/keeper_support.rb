# frozen_string_literal: true

# What the tests of keepers share.

require_relative "pool_support"

class KeeperTest < PoolTest
  # Rules with which no test waits for long: at once again, and never SIGKILL.
  QUICK = {first_delay: 0.001, jitter: -1, grace: -1}.freeze

  def before_setup
    @keepers = []
    super
  end

  def after_teardown
    @keepers.each(&:stop)
    super
  end

  def open_keeper(**options, &block)
    @keepers << (keeper = Gipc.keep(**options, &block))
    keeper
  end

  # The first changes of this kind.
  def changes(keeper, count, service: nil, state: nil)
    found = keeper.each_change.lazy.select do |change|
      (service.nil? || change.service == service) && (state.nil? || Array(state).include?(change.state))
    end
    found.first(count)
  end

  # Waits until this has happened to a service so many times.
  def until_event(keeper, service, event, count = 1)
    changes(keeper, count, service: service, state: event).last
  end

  # Service and event of all changes so far.
  def history(keeper, *events)
    keeper.each_change.lazy.select { |change| events.empty? || events.include?(change.state) }
          .map { |change| [change.service, change.state] }.to_a
  end
end
