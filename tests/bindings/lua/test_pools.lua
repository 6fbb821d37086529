-- Pools of workers: results, failures, and what becomes of the others.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local shared = require "support_pools"
local equal, fails, raises = support.equal, support.fails, support.raises
local with_pool, failed, collect = shared.with_pool, shared.failed, shared.collect
local square, pid_of, die = shared.square, shared.pid_of, shared.die
local touch, wait_for_file = shared.touch, shared.wait_for_file

return function(test)
  local once = support.once(test)

  test("a_pool_returns_the_results_of_its_workers", function()
    with_pool({ workers = 2, timeout = 60 }, square, function(pool)
      equal(pool:call(7), 49)
      local task = pool:submit(8)
      equal(task:join(), 64)
      equal(task:is_done(), true)
      equal(task:join(0), 64)
      equal(task:cancel(), false)
      equal(pool:size(), 2)
      local stats = pool:stats()
      equal(stats.done, 2)
      equal(stats.submitted, 2)
      equal(#stats.per_worker, stats.workers)
      equal(stats.per_worker[1].state, "ready")
      equal(stats.per_worker[1].memory > 100000, true)
    end)
  end)

  test("a_map_is_lazy_bounded_and_ordered", function()
    with_pool({ workers = 2 }, square, function(pool)
      local asked, returned, most = 0, 0, 0
      local next_result = pool:map(function()
        asked = asked + 1
        most = math.max(most, asked - returned)
        return asked <= 50 and asked or nil
      end, { ahead = 5 })
      equal(asked, 0)
      for i = 1, 50 do
        local index, value = next_result()
        returned = returned + 1
        equal(index, i)
        equal(value, i * i)
      end
      equal(next_result(), nil)
      equal(next_result(), nil)
      equal(most <= 6, true, "jobs that were asked for")
      local list, order = collect(pool:map({ 1, 2, 3, "x", 5 }, { ordered = false }))
      equal(#order, 5)
      equal(list[3], 9)
      equal(list[4].class, "error")
      equal(collect(pool:map({}))[1], nil)
      raises("jobs is a list, or a function", pool.map, pool)
      raises("ahead is an integer", pool.map, pool, {}, { ahead = 0 })
    end)
  end)

  once("an_error_of_a_task_comes_back_with_its_traceback", function()
    local function work(how)
      if how == "text" then
        error "on purpose"
      elseif how == "table" then
        error { class = "TooHot", message = "it is too hot", degrees = 99 }
      elseif how == "failure" then
        return nil, "no such thing", gipc.ENOENT
      elseif how == "waits" then
        support.settle()
        error "after a wait"
      end
      return how
    end
    with_pool({ workers = 1 }, work, function(pool)
      local err = failed("error", "test_pools%.lua:%d+: on purpose", nil, pool:call "text")
      equal(err.traceback:match "test_pools%.lua:%d+: in function" ~= nil, true, err.traceback)
      equal(tostring(err), err.traceback)
      equal(err.task, 1)
      err = failed("TooHot", "^it is too hot$", nil, pool:call "table")
      equal(err.value.degrees, 99)
      err = failed("failure", "^no such thing$", nil, pool:call "failure")
      equal(err.value, gipc.ENOENT)
      equal("says: " .. err, "says: no such thing")
      failed("error", "after a wait", nil, pool:call "waits")
      equal(pool:call "fine", "fine")
      equal(pool:call(gipc.null), gipc.null)
      equal(pool:stats().starts, 1)
    end)
  end)

  once("a_result_that_cannot_be_encoded_fails_its_task_only", function()
    with_pool({ workers = 1 }, function(wanted)
      return wanted == "function" and { f = print } or pid_of()
    end, function(pool)
      local pid = pool:call "pid"
      failed("error", "the result cannot be encoded: a function at %.f", nil, pool:call "function")
      equal(pool:call "pid", pid)
      raises("test_pools.*the message cannot be encoded: a function", function() pool:call(print) end)
      raises("the message cannot be encoded: a function at %[1%]", pool.submit, pool, { print })
    end)
    with_pool({ workers = 1, codec = "raw" }, function(text)
      return text == "" and 5 or text
    end, function(pool)
      equal(pool:call "a\0b", "a\0b")
      failed("error", "the raw codec takes strings only", nil, pool:call "")
      raises("the raw codec takes strings only", pool.submit, pool, 5)
    end)
  end)

  test("a_worker_that_ends_fails_its_task_only", function()
    local function work(how)
      if how == "exit" then
        os.exit(3)
      elseif how == "killed" then
        io.stderr:write "something to read\n"
        die "KILL"
        gipc.sleep(60)
      end
      return pid_of()
    end
    with_pool({ workers = 2, stderr = "pipe" }, work, function(pool)
      local list = collect(pool:map { "exit", 1, 2, "killed", 3, 4, 5, 6 })
      for _, i in ipairs { 2, 3, 5, 6, 7, 8 } do
        equal(type(list[i]), "number", i)
      end
      equal(list[1].class, "WorkerDied")
      equal(list[1].exit.code, 3)
      equal(list[1].task, 1)
      equal(list[1].attempt, 1)
      equal(list[4].exit.signal, 9)
      equal(list[4].exit.max_rss > 0, true)
      equal(list[4].stderr, "something to read\n")
      equal(list[4].message:match "process %d+ was killed by signal 9" ~= nil, true, list[4].message)
      failed("WorkerDied", "ended with exit code 3", gipc.EDEAD, pool:call "exit")
      equal(pool:stats().died, 3)
    end)
  end)

  once("an_idle_worker_that_ends_is_replaced", function()
    with_pool({ workers = 1 }, pid_of, function(pool)
      local first = pool:call(0)
      os.execute("kill -KILL " .. first)
      local second = pool:call(0) -- the first may have had it
      if type(second) ~= "number" then
        second = pool:call(0)
      end
      equal(second ~= first, true)
    end)
  end)

  test("a_task_that_takes_too_long_ends_with_its_worker", function()
    local function work(how)
      while how == "spin" do
        how = "spin"
      end
      return pid_of()
    end
    with_pool({ workers = 1, timeout = 60 }, work, function(pool)
      local pid = pool:call "pid"
      local err = failed("TaskTimeout", "longer than its timeout of 0%.05 seconds", gipc.ETIMEDOUT,
        pool:call("spin", { timeout = 0.05 }))
      equal(err.pid, pid)
      equal(err.exit.signal, 15)
      equal(pool:call "pid" ~= pid, true)
      local task = pool:submit "spin"
      fails(gipc.ETIMEDOUT, "^timeout$", task:join(0.01))
      equal(task:is_done(), false)
    end)
  end)

  once("a_worker_that_ignores_sigterm_is_killed_after_the_grace_period", function()
    local options = { argv = { "sh", "-c", [[
      trap '' TERM
      exec "$0" -e "$1"
    ]], support.interpreter, 'require "gipc".serve(function() while true do end end)' }, workers = 1, grace = 0.05 }
    with_pool(options, nil, function(pool)
      local err = failed("TaskTimeout", "timeout", gipc.ETIMEDOUT, pool:call(1, { timeout = 0.05 }))
      equal(err.exit.signal, 9)
    end)
  end)

  once("a_task_is_retried_if_that_was_asked_for", function()
    local function work(job, assignment)
      if assignment.attempt <= job then
        die "KILL"
        gipc.sleep(60)
      end
      return assignment.attempt
    end
    with_pool({ workers = 1, poison = 3 }, work, function(pool)
      failed("WorkerDied", "signal 9", gipc.EDEAD, pool:call(1))
      equal(pool:call(1, { retries = 1 }), 2)
      local err = failed("WorkerDied", "signal 9", gipc.EDEAD, pool:call(2, { retries = 1 }))
      equal(err.attempt, 2)
      err = failed("WorkerDied", "as many workers as one may", gipc.EDEAD, pool:call(9, { retries = 9 }))
      equal(err.attempt, 3)
      equal(pool:stats().poison, 1)
    end)
    with_pool({ workers = 1, retries = 5, retry_for = { "failed" } }, function(_, assignment)
      return assignment.attempt > 2 and assignment.attempt or nil, "not yet"
    end, function(pool)
      equal(pool:call(1), 3)
      failed("failure", "not yet", nil, pool:call(1, { retries = 1 }))
    end)
  end)

  test("a_queued_and_a_running_task_are_cancelled", function()
    with_pool({ workers = 1 }, function(path)
      if path ~= "pid" then
        touch(path)
        gipc.sleep(60)
      end
      return pid_of()
    end, function(pool)
      local path = os.tmpname()
      os.remove(path)
      local pid = pool:call "pid"
      local running, queued = pool:submit(path), pool:submit "pid"
      support.wait_until(function()
        running:join(0.001)
        local file = io.open(path)
        return file and file:close()
      end)
      equal(queued:cancel(), true)
      failed("TaskCancelled", "cancelled", gipc.ECANCELED, queued:join())
      equal(running:cancel(), true)
      local err = failed("TaskCancelled", "cancelled", gipc.ECANCELED, running:join())
      equal(err.exit.signal, 15)
      equal(pool:call "pid" ~= pid, true)
      os.remove(path)
    end)
  end)

  test("a_full_queue_makes_a_submit_wait", function()
    local path = os.tmpname()
    os.remove(path)
    with_pool({ workers = 1, queue_limit = 2, queue_low = 1 }, function(job)
      wait_for_file(path)
      return job
    end, function(pool)
      local tasks = { pool:submit(1) }
      support.wait_until(function()
        tasks[1]:join(0.001)
        return pool:stats().running == 1
      end)
      tasks[2], tasks[3] = pool:submit(2), pool:try_submit(3)
      fails(gipc.EAGAIN, "queue of the pool is full", pool:try_submit(4))
      touch(path)
      for i = 4, 20 do
        tasks[i] = pool:submit(i)
      end
      for i = 1, 20 do
        equal(tasks[i]:join(), i)
      end
    end)
    os.remove(path)
  end)

  once("urgent_tasks_come_first", function()
    local path = os.tmpname()
    os.remove(path)
    with_pool({ workers = 1 }, function(job)
      wait_for_file(path)
      done = (done or "") .. job -- luacheck: ignore
      return done -- luacheck: ignore
    end, function(pool)
      local first = pool:submit "a"
      support.wait_until(function()
        first:join(0.001)
        return pool:stats().running == 1
      end)
      local late, urgent = pool:submit "b", pool:submit("c", { priority = 5 })
      touch(path)
      equal(urgent:join(), "ac")
      equal(late:join(), "acb")
    end)
    os.remove(path)
  end)

  test("large_jobs_and_results_pass_in_both_directions", function()
    local large = ("x"):rep(3000000)
    with_pool({ workers = 2, codec = "raw" }, function(job)
      return job .. "y"
    end, function(pool)
      local list = collect(pool:map { large, large, "", large })
      equal(list[1], large .. "y")
      equal(list[3], "y")
      equal(list[4], large .. "y")
    end)
  end)

  -- Kills one of the workers, whatever it does.
  local function kill_a_worker(pool, number)
    local ids = {}
    for id, member in pairs(pool.driver.members) do
      if not member.info then
        table.insert(ids, id)
      end
    end
    table.sort(ids)
    if ids[1] then
      pool.driver.members[ids[number % #ids + 1]].process:kill()
    end
  end

  -- Without retries, each task is carried out once at most: its result comes once, or the
  -- end of its worker does.  In the long run a worker is killed every 50 ms.
  local function storm(sent_ahead)
    local path, count, every = os.tmpname(), support.long and 100000 or 2000, support.long and 0.05 or 100
    local log
    with_pool({ workers = 4, ahead = sent_ahead, first_delay = 0.001, longest_delay = 0.001, healthy = 0.001, prepare = function()
      log = assert(io.open(path, "a"))
      log:setvbuf "no"
    end }, function(job)
      log:write(("%d\n"):format(job)) -- in one write
      return -job
    end, function(pool)
      local number, kills, at, outcomes = 0, 0, 0, {}
      local next_result = pool:map(function()
        number = number + 1
        return number <= count and number or nil
      end, { ordered = false, ahead = 50 })
      local index, value, err = next_result()
      while index do
        equal(outcomes[index], nil, "outcomes of " .. index)
        outcomes[index] = value or err
        local now = support.long and native.now() or index
        if now >= at + every then
          at, kills = now, kills + 1
          kill_a_worker(pool, kills)
        end
        index, value, err = next_result()
      end
      local executions, died = {}, 0
      for line in io.lines(path) do
        executions[line] = (executions[line] or 0) + 1
      end
      for i = 1, count do
        local executed = executions[("%d"):format(i)]
        if outcomes[i] == -i then
          equal(executed, 1, "executions of " .. i)
        else
          equal(outcomes[i].class, "WorkerDied", i)
          equal((executed or 0) <= 1, true, "executions of " .. i)
          died = died + 1
        end
      end
      equal(kills > 10, true, kills .. " kills")
      equal(died <= kills, true, died .. " died")
    end)
    os.remove(path)
  end

  once("no_task_is_lost_or_done_twice_in_a_storm", function()
    storm(0)
  end)

  once("no_task_that_was_sent_ahead_is_lost_or_done_twice_in_a_storm", function()
    storm(5)
  end)
end
