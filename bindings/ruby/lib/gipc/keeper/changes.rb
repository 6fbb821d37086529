# frozen_string_literal: true

# What happened to the services of a keeper.

module Gipc
  class Keeper
    # One of {Keeper#each_change}.  +service+ is its name; +state+ says what its process is
    # now: :starting, :ready, :silent (it gets the signal for a dump), :stopping, :killed,
    # :ended or :not_started; or what became of the service: :reloaded, :reload_failed,
    # :finished (it is not restarted) or :gave_up.  +why+ says for what the process is
    # stopped, or was: :silent, :not_ready, :reload, :group (with a service that is
    # restarted), :stopped (the keeper stops), :gave_up, or :none; +pid+ is its ID,
    # +exit_info+ is there after its end, +error+ is why it could not be started, and
    # +stderr+ has the last lines of its standard error.
    Change = Struct.new(:service, :state, :why, :pid, :exit_info, :error, :stderr, keyword_init: true)

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
