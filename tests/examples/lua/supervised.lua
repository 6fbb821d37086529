-- A child that is restarted when it dies, and continues where it was.
local gipc = require "gipc"

local function count(writer, first)
  for number = first, 6 do
    if number == 3 and first < 3 then
      os.exit(2)
    elseif number == 5 and first < 5 then
      gipc.sleep(60) -- until its supervisor has had enough
    end
    writer:put(number)
  end
end

-- One life of the child: what it said is added to seen.
local function live(seen)
  local reader, writer = gipc.pipe()
  local child = gipc.start_process({ name = "counter" }, count, writer, #seen)
  local number, why = reader:get(3)
  while number ~= nil do
    table.insert(seen, number)
    number, why = reader:get(3)
  end
  if why == "timeout" then
    child:stop(1)
  end
  child:join()
  reader:close()
  return child:exitcode()
end

gipc.run(function()
  local seen = {}
  local code = live(seen)
  while code ~= 0 do
    print(("after %d numbers: exit code %d, started again"):format(#seen, code))
    code = live(seen)
  end
  print(table.concat(seen, " "))
end)
