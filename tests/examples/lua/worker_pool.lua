-- A few worker processes share the tasks.  One that ends its worker, takes too long or
-- raises an error fails alone.
local gipc = require "gipc"

local pool = gipc.pool({ workers = 3 }, function(number)
  if number == -1 then
    os.exit(3) -- as a worker that crashes
  elseif number == -2 then
    gipc.sleep(3600)
  elseif number < 0 then
    error("less than 0", 0)
  end
  return number * number
end)

local numbers, sum = {}, 0
for number = 0, 99 do
  numbers[number + 1] = number
end
for _, square, err in pool:map(numbers) do
  sum = sum + assert(square, err)
end
print(("%d"):format(sum))

local function attempt(number, options)
  local _, err = pool:call(number, options)
  if err.class == "WorkerDied" then
    print(number .. ": its worker ended with " .. err.exit.code)
  elseif err.class == "TaskTimeout" then
    print(number .. ": it took too long")
  else
    print(number .. ": " .. err.message)
  end
end

attempt(-1)
attempt(-2, { timeout = 0.1 })
attempt(-3)
pool:stop()
