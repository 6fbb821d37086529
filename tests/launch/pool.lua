-- A pool whose workers are behind a launcher: pool.lua FIFO LAUNCHER..., the command that
-- starts worker.lua there.

local gipc = require "gipc"

local fifo, launcher = arg[1], {}
for i = 2, #arg do
  launcher[i - 1] = arg[i]
end
os.execute("mkfifo " .. fifo)
local tasks = {}
for number = 1, 50 do
  tasks[number] = "task " .. number
end
tasks[51] = ("x"):rep(1000000)

local function do_all(pool, options)
  local count, results = 0, pool:map(tasks, options)
  local number, result, err = results() -- not in a for: Lua 5.1 cannot yield there
  while number do
    assert(result == tasks[number]:upper(), err)
    count, number, result, err = count + 1, results()
  end
  assert(count == #tasks)
end

gipc.run(function()
  local pool = gipc.pool { launch = launcher, workers = 2, codec = "raw", first_delay = 0.001 }
  do_all(pool)
  local held = assert(pool:submit("hold " .. fifo))
  local file = assert(io.open(fifo, "w")) -- a worker has begun
  -- The end of a launcher is that of its worker.
  for _, worker in ipairs(pool:stats().per_worker) do
    os.execute("kill -9 " .. worker.pid)
  end
  local _, err = held:join()
  assert(err.class == "WorkerDied" and err.exit.signal == 9, tostring(err))
  file:close()
  while pool:stats().failures < 2 do
    gipc.sleep(0.01) -- on a busy machine what was killed ends later
  end
  do_all(pool, { retries = 1 })
  local stats = pool:stats()
  assert(stats.failures == 2 and stats.starts <= 4)
  assert(pool:stop())
end)
