-- A parent in Lua that starts daemons of every kind, until it is killed.  Prints a line
-- before each start.
local gipc = require "gipc"

local sleep = { "sleep", "600" }
local tree = { "sh", "-c", "sleep 600 & setsid sleep 600 & (sleep 600 &) & wait" }

local function waits()
  gipc.sleep(600)
end

gipc.run(function()
  local template = assert(gipc.template())
  local pool = gipc.pool({ workers = 2, least = 2 }, math.abs)
  local keeper = gipc.keep {
    { name = "works", notify = true, work = function()
      gipc.ready()
      gipc.sleep(600)
    end },
    { name = "sleep", argv = sleep },
  }
  local starts = {
    function() return gipc.start_process({ daemon = true }, waits) end,
    function() return gipc.exec_process(sleep, { daemon = true }) end,
    function() return gipc.exec_process(tree, { daemon = true, group = "tree" }) end,
    function() return template:start({ daemon = true }, "killed_child", "waits") end,
  }
  local running = {}
  for i = 0, math.huge do
    print(i)
    io.stdout:flush()
    if #running == 8 then
      local process = table.remove(running, 1)
      process:kill()
      process:join()
      process:close()
    end
    table.insert(running, assert(starts[i % 4 + 1]()))
  end
  pool:stop()
  keeper:stop()
end)
