-- A pool of workers: each job goes to a free worker, and the results come in order.
local gipc = require "gipc"

local pool = gipc.pool({ workers = 3, least = 3 }, function(number)
  local sum = 0
  for i = 0, number - 1 do
    sum = sum + i * i
  end
  return sum
end)

local number, total = 0, 0
local function next_number()
  number = number + 1
  return number <= 100 and number or nil
end

for _, sum, err in pool:map(next_number) do
  total = total + assert(sum, err)
end
print(pool:stats().workers .. " workers")
print(("%d"):format(total))
pool:stop()
