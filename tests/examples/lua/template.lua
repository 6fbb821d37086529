-- Workers from a template: a program of any size starts them at the cost of a small one.
-- The function that a child calls is one of a module; this file is the module, too.
local gipc = require "gipc"

local workers = {}

function workers.square(jobs, results)
  for number in jobs:messages() do
    results:put { number, number * number }
  end
end

if ... == "template" then -- it is loaded as a module
  return workers
end

local folder = arg[0]:match "^(.*/)" or "./"
package.path = folder .. "?.lua;" .. package.path

gipc.run(function()
  local template = assert(gipc.template { preload = { "template" } })
  -- Here the program fills its memory.
  local jobs, give = gipc.pipe()
  local results, result = gipc.pipe()
  local worker = assert(template:start("template", "square", jobs, result))
  for number = 1, 3 do
    give:put(number)
  end
  give:close()
  for answer in results:messages() do
    print(("%d squared is %d"):format(answer[1], answer[2]))
  end
  worker:join()
  print("exit code " .. worker:exitcode())
  template:close()
end)
