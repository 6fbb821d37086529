# frozen_string_literal: true

# What a template loads, and the tests do not.
module TemplateExtra
  # What the interpreter keeps from now on, and a fork must renew.
  KEPT = [rand, Process.pid].freeze
end
