# frozen_string_literal: true

# Loaded before the installation of a gem: a Ruby without its headers.
require "rbconfig"
RbConfig::CONFIG["rubyhdrdir"] = "/nonexistent"
