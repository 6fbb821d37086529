# frozen_string_literal: true

# A pool whose workers are programs behind a launcher, which places them.
#   remote_pool.rb ssh -T HOST ruby /path/remote_pool.rb
#   remote_pool.rb srun -Q -n 1 -N 1 --unbuffered ruby /path/remote_pool.rb
# Without arguments they are here.

require "gipc"

# Not with Marshal, which runs code of whoever sends it.
CODEC = :json

def itself
  paths = $LOAD_PATH.map { |path| "-I#{path}" }
  ["env", RbConfig.ruby, *paths, __FILE__]
end

if ARGV == ["worker"]
  Gipc.serve(codec: CODEC) { |number| number * number }
else
  command = ARGV.empty? ? itself : ARGV
  pool = Gipc::Pool.open(2, launch: [*command, "worker"], codec: CODEC, retries: 1)
  puts pool.map(0...100).sum
  pool.close
end
