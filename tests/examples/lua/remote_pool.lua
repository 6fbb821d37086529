-- A pool whose workers are programs behind a launcher, which places them.
--   remote_pool.lua ssh -T HOST lua /path/remote_pool.lua
--   remote_pool.lua srun -Q -n 1 -N 1 --unbuffered lua /path/remote_pool.lua
-- Without arguments they are here.
local gipc = require "gipc"

if arg[1] == "worker" then
  assert(gipc.serve(function(number)
    return number * number
  end))
  return
end

local command = arg[1] and arg or { "env", arg[-1], arg[0] }
table.insert(command, "worker")

local numbers, sum = {}, 0
for number = 0, 99 do
  numbers[number + 1] = number
end
local pool = gipc.pool { launch = command, workers = 2, retries = 1 }
for _, square, err in pool:map(numbers) do
  sum = sum + assert(square, err)
end
print(("%d"):format(sum))
pool:stop()
