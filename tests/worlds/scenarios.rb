# frozen_string_literal: true

# Runs the scenarios with these names in this process, and prints where the world
# keeps the output (GIPC_WORLD_OUTPUT).

if (output = ENV["GIPC_WORLD_OUTPUT"])
  $stdout = $stderr = IO.for_fd(Integer(output), "w")
end
$stdout.sync = true

folder = File.expand_path("../bindings/ruby", __dir__)
$LOAD_PATH.unshift(folder)
require "support"
%w[handles messages processes programs surface transport].each { |file| require "#{folder}/#{file}_test.rb" }
exit Minitest.run(["--name", "/^test_(#{ARGV.join("|")})$/"])
