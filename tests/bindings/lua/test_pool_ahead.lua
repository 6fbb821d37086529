-- Tasks that a worker is sent before it has answered the one that it carries out, and those
-- that it was sent and has not begun.
local gipc = require "gipc"
local support = require "support"
local shared = require "support_pools"
local equal, raises = support.equal, support.raises
local with_pool, die, wait_for_file = shared.with_pool, shared.die, shared.wait_for_file

local function touch(path)
  assert(io.open(path, "w")):close()
end

return function(test)
  local once = support.once(test)

  test("only_the_task_that_it_had_begun_dies_with_a_worker", function()
    with_pool({ workers = 1, ahead = 5, first_delay = 0.001 }, function(job)
      if job == 3 then
        die "KILL"
        gipc.sleep(60)
      end
      return job
    end, function(pool)
      local tasks = {}
      for job = 1, 9 do
        tasks[job] = pool:submit(job)
      end
      for job, task in ipairs(tasks) do
        local value, err = task:join()
        if job == 3 then
          equal(err.class, "WorkerDied")
        else
          equal(value, job)
        end
      end
      local stats = pool:stats()
      equal(stats.retries, 0)
      equal(stats.starts, 2)
      equal(stats.died, 1)
    end)
  end)

  test("a_task_that_was_sent_ahead_and_cancelled_is_not_begun", function()
    local begun, note = os.tmpname(), os.tmpname()
    os.remove(begun)
    os.remove(note)
    with_pool({ workers = 1, ahead = 1 }, function(job)
      touch(job == 1 and begun or note)
      return job == 1 and gipc.sleep(60) or job
    end, function(pool)
      local first, second = pool:submit(1), pool:submit(2)
      support.wait_until(function()
        first:join(0.001)
        local file = io.open(begun)
        return file and file:close()
      end)
      equal(pool:stats().running, 2)
      equal(second:cancel(), true)
      equal(second:is_done(), false)
      equal(first:cancel(), true)
      local _, err = second:join()
      equal(err.class, "TaskCancelled")
      equal(io.open(note), nil)
      equal(pool:call(3), 3)
    end)
    os.remove(begun)
    os.remove(note)
  end)

  test("large_tasks_are_sent_when_there_is_room", function()
    with_pool({ workers = 1, ahead = 10 }, function(job)
      return #job
    end, function(pool)
      local jobs = {}
      for i = 1, 20 do
        jobs[i] = ("x"):rep(300000 + i)
      end
      local next_result, index = pool:map(jobs), 0
      repeat -- Lua 5.1 cannot wait inside an iterator
        local number, size = next_result()
        index = number and index + 1 or index
        equal(size, number and 300000 + index)
      until not number
      equal(index, 20)
      equal(pool:stats().starts, 1)
    end)
  end)

  once("a_launcher_is_sent_no_task_ahead", function()
    raises("ahead is not possible with launch", gipc.pool, { launch = { "ssh", "host" }, ahead = 1 })
  end)

  -- Its answer, and the end of its stream, are there before the pool reads.
  local closes = [[
    local gipc, native = require "gipc", require "gipc.native"
    local function wait_for(path)
      os.execute("until [ -e " .. path .. " ]; do sleep 0.01; done")
    end
    local prefix = arg[1]
    local handle = gipc.inherit("worker", { codec = "raw" })
    handle:put(native.worker_encode "R")
    local _, task, job = native.worker_decode(handle:get())
    local first = io.open(prefix .. "has") == nil
    io.open(prefix .. "has", "w"):close()
    if first then wait_for(prefix .. "answer") end
    handle:put(native.worker_encode("D", task, 0, job))
    handle:close()
    io.open(prefix .. "closed", "w"):close()
    if first then wait_for(prefix .. "finish") end
  ]]

  once("a_worker_that_has_answered_and_closed_costs_no_task", function()
    local prefix = os.tmpname()
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(closes)
    file:close()
    local options = { workers = 1, argv = { support.interpreter, script, prefix }, codec = "raw", first_delay = 0.001 }
    with_pool(options, nil, function(pool)
      local first, second = pool:submit "one", pool:submit "two"
      wait_for_file(prefix .. "has")
      os.execute((": > %sanswer; until [ -e %sclosed ]; do sleep 0.01; done"):format(prefix, prefix))
      equal(first:join(), "one")
      touch(prefix .. "finish")
      equal(second:join(), "two")
      equal(pool:stats().starts, 2)
    end)
    for _, name in ipairs { "", "has", "answer", "closed", "finish" } do
      os.remove(prefix .. name)
    end
    os.remove(script)
  end)
end
