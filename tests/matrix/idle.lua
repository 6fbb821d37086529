-- A pool of 100 workers that has nothing to do; says so when all are ready.
local gipc = require "gipc"

local function are_ready(pool)
  local ready = 0
  for _, worker in ipairs(pool:stats().per_worker) do
    ready = ready + (worker.state == "ready" and 1 or 0)
  end
  return ready == 100
end

gipc.run(function()
  local pool = gipc.pool({ workers = 100, least = 100 }, math.abs)
  while not are_ready(pool) do
    gipc.sleep(0.01)
  end
  print "idle"
  io.stdout:flush()
  gipc.open(0):get()
  pool:stop()
end)
