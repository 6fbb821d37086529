# frozen_string_literal: true

# What happened to the services of a keeper.

module Gipc
  class Keeper
    # One of {Keeper#each_change}.  +service+ is its name; +event+ is :started, :ready,
    # :dumped (it showed no sign of life, and was sent the signal for a dump), :stopping,
    # :killed, :ended, :start_failed, :reloaded, :reload_failed, :finished (it is not
    # restarted), or :gave_up; +pid+ is that of the process; +why+ says for what it is
    # stopped, or was: :silent, :not_ready, :reload, :group (with a service that is
    # restarted), :stopped, :gave_up, or :none, by itself; +exit_info+ is there after its
    # end, +error+ is that of a start, and +stderr+ has the last lines of standard error.
    Change = Struct.new(:service, :event, :pid, :why, :exit_info, :error, :stderr, keyword_init: true)

    # The last changes.  One thread adds them, and any fiber or thread reads them.
    #
    # @private
    class Changes
      KEPT = 1024
      private_constant :KEPT

      def initialize
        @changes = {}
        @count = 0
      end

      def add(change)
        @changes[@count] = change
        @changes.delete(@count - KEPT)
        @count += 1
      end

      # The first one that is kept and has at least this number.
      #
      # @return [Array(Change, Integer), nil] with its number
      def from(number)
        while number < @count
          change = @changes[number] and return [change, number]
          number = [number + 1, @count - KEPT].max
        end
      end
    end
    private_constant :Changes
  end
end
