# frozen_string_literal: true

# What a template loads, and the tests do not.
module TemplateExtra; end
