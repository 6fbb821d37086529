-- What is measured of gipc in Lua: messages of one size to a worker.
local gipc = require "gipc"
local native = require "gipc.native"

local jobs = {}

-- Messages a second, from the first put to the worker's answer.
function jobs.through_gipc(count, options, put, message)
  return gipc.run(function()
    local r, w = gipc.pipe(options)
    local answers, answer = gipc.pipe { codec = "raw" }
    local worker = gipc.start_process(function(r, answer)
      answer:put "ready"
      for _ = 1, count do
        r:get()
      end
      answer:put "done"
    end, r, answer)
    answers:get()
    local started = native.now()
    put(w, count, message)
    answers:get()
    local took = native.now() - started
    worker:join()
    w:close()
    answers:close()
    return count / took
  end)
end

function jobs.plain(w, count, message)
  for _ = 1, count do
    w:put(message)
  end
end

function jobs.in_batches(w, count, message)
  local batch = {}
  for i = 1, 64 do
    batch[i] = message
  end
  for _ = 1, count, #batch do
    w:put_many(batch)
  end
end

-- ---- Pools ----------------------------------------------------------------------

-- Tasks a second of two workers, which are sent so many ahead.
function jobs.tasks(count, message, ahead)
  local pool = gipc.pool({ workers = 2, codec = "raw", ahead = ahead }, function(task)
    return task
  end)
  local function run(most)
    local left = most
    for _, result, err in pool:map(function()
      left = left - 1
      return left >= 0 and message or nil
    end) do
      assert(result, err)
    end
  end
  run(20) -- until both workers run
  local started = native.now()
  run(count)
  local took = native.now() - started
  pool:stop()
  return count / took
end

-- Recoveries a second: die() has the worker end itself, as Lua has no kill(2), and
-- work() has one do a task.
local function recoveries(count, work, die)
  work()
  local started = native.now()
  for _ = 1, count do
    die()
    work()
  end
  return count / (native.now() - started)
end

local function die_or_work(task)
  return task == "die" and os.exit(1) or task
end

function jobs.recovering_gipc(count)
  local pool = gipc.pool({ workers = 1, codec = "raw" }, die_or_work)
  local figure = recoveries(count, function()
    assert(pool:call "work")
  end, function()
    pool:call "die"
  end)
  pool:stop()
  return figure
end

-- A function child, without a pool.
function jobs.recovering_child(count)
  local child, mine
  local figure = recoveries(count, function()
    if not child then
      local theirs
      mine, theirs = gipc.pipe { duplex = true, codec = "raw" }
      child = gipc.start_process(function(handle)
        for task in handle:messages() do
          handle:put(die_or_work(task))
        end
      end, theirs)
    end
    mine:put "work"
    assert(mine:get())
  end, function()
    mine:put "die"
    child:join()
    mine:close()
    child = nil
  end)
  mine:close()
  child:join()
  return figure
end

return jobs
