# frozen_string_literal: true

# What a template of parent.rb starts.
module KilledChild
  def self.waits = sleep
end
