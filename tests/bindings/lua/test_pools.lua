-- Pools of workers: results, failures, and what becomes of the others.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

-- A pool for the time of body(pool).
local function with_pool(options, work, body)
  local pool = gipc.pool(options, work)
  body(pool)
  assert(pool:stop(0))
  equal(tostring(pool), "gipc pool: stopped")
end

local function square(number)
  return number * number
end

local function pid_of()
  return support.pid()
end

-- A result that is a failure of this class.
local function failed(class, wanted, code, value, err, got)
  equal(value, nil)
  equal(err.class, class)
  equal(got, code)
  if not err.message:find(wanted) then
    error(("got %q, wanted %q"):format(err.message, wanted), 2)
  end
  return err
end

-- What map returns, without a loop, which could not wait on Lua 5.1.
local function collect(next_result)
  local list, order = {}, {}
  local index, value, err = next_result()
  while index do
    list[index] = value == nil and err or value
    table.insert(order, index)
    index, value, err = next_result()
  end
  return list, order
end

local function die(signal)
  native.process_signal = nil
  os.execute(("kill -%s %d"):format(signal, support.pid()))
end

-- Waits in a worker until a file is there.
local function wait_for_file(path)
  local file = io.open(path)
  while not file do
    gipc.sleep(0.001)
    file = io.open(path)
  end
  file:close()
end

local function touch(path)
  assert(io.open(path, "w")):close()
end

return function(test)
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

  test("an_error_of_a_task_comes_back_with_its_traceback", function()
    local function work(how)
      if how == "text" then
        error "on purpose"
      elseif how == "table" then
        error { class = "TooHot", message = "it is too hot", degrees = 99 }
      elseif how == "failure" then
        return nil, "no such thing", gipc.ENOENT
      elseif how == "waits" then
        gipc.sleep(0.001)
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

  test("a_result_that_cannot_be_encoded_fails_its_task_only", function()
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

  test("an_idle_worker_that_ends_is_replaced", function()
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

  test("a_worker_that_ignores_sigterm_is_killed_after_the_grace_period", function()
    local options = { argv = { "sh", "-c", [[
      trap '' TERM
      exec "$0" -e "$1"
    ]], support.interpreter, 'require "gipc".serve(function() while true do end end)' }, workers = 1, grace = 0.05 }
    with_pool(options, nil, function(pool)
      local err = failed("TaskTimeout", "timeout", gipc.ETIMEDOUT, pool:call(1, { timeout = 0.05 }))
      equal(err.exit.signal, 9)
    end)
  end)

  test("a_task_is_retried_if_that_was_asked_for", function()
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

  test("urgent_tasks_come_first", function()
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

  test("workers_are_prepared_and_retire", function()
    local prepared = 0
    with_pool({ workers = 1, retire_tasks = 2, prepare = function()
      prepared = prepared + 1
    end }, function()
      return { pid = pid_of(), prepared = prepared }
    end, function(pool)
      local pids = {}
      for i = 1, 6 do
        local answer = assert(pool:call(i))
        equal(answer.prepared, 1)
        pids[answer.pid] = (pids[answer.pid] or 0) + 1
      end
      local count = 0
      for _, tasks in pairs(pids) do
        equal(tasks, 2)
        count = count + 1
      end
      equal(count, 3)
      equal(prepared, 0)
    end)
    with_pool({ workers = 1, retire_memory = 1 }, pid_of, function(pool)
      local pid = pool:call(0)
      equal(pool:call(0) ~= pid, true)
    end)
  end)

  test("a_pool_whose_workers_cannot_start_gives_up_and_says_why", function()
    with_pool({ workers = 2, prepare_failures = 2, first_delay = 0.001, stderr = "pipe", prepare = function()
      error("no database", 0)
    end }, square, function(pool)
      local err = failed("PoolBroken", "gave up: its worker of process %d+ ended with exit code 1", gipc.ECLOSED,
        pool:call(1))
      equal(err.task, 1)
      failed("PoolBroken", "gave up", gipc.ECLOSED, pool:call(2))
    end)
    with_pool({ argv = { "/nowhere/worker" }, first_delay = 0.001 }, nil, function(pool)
      failed("PoolBroken", 'no worker can be started: cannot run "/nowhere/worker"', gipc.ECLOSED, pool:call(1))
    end)
  end)

  test("a_stop_drains_or_ends_all", function()
    local pool = gipc.pool({ workers = 1, least = 1 }, square)
    equal(pool:stats().workers, 1)
    local tasks = { pool:submit(2), pool:submit(3) }
    assert(pool:stop())
    equal(tasks[1]:join(), 4)
    equal(tasks[2]:join(), 9)
    failed("PoolClosed", "the pool is stopped", gipc.ECLOSED, pool:submit(1))
    assert(pool:stop())
    pool = gipc.pool({ workers = 1 }, function() gipc.sleep(60) end)
    tasks = { pool:submit(2), pool:submit(3) }
    assert(pool:stop(0.01))
    failed("PoolClosed", "the pool is stopped", gipc.ECLOSED, tasks[1]:join())
    failed("PoolClosed", "the pool is stopped", gipc.ECLOSED, tasks[2]:join())
    raises("grace is a number of seconds", pool.stop, pool, "x")
    assert(gipc.pool({}, square):stop())
  end)

  local program = [[
    local gipc = require "gipc"
    assert(gipc.serve(function(job)
      if job == "print" then print "printed" end
      return { job, os.getenv "WHO" }
    end, { prepare = function() ready = true end }))
  ]]

  test("a_program_is_a_worker", function()
    for _, options in ipairs { { stdout = "null" }, { stdin = "pipe", stdout = "pipe", stderr = "null" } } do
      options.argv, options.workers, options.env = { support.interpreter, "-e", program }, 2, { WHO = "me" }
      with_pool(options, nil, function(pool)
        local list = collect(pool:map { 1, "print", 3 })
        equal(list[1][1], 1)
        equal(list[2][2], "me")
        equal(list[3][1], 3)
      end)
    end
    local child = support.program("os.exit(select(2, require'gipc'.serve(print)) and 4 or 0)",
      { stdin = "null", stderr = "null" })
    assert(child:join(10))
    equal(child:exitcode(), 4) -- no pool started it
  end)

  test("a_worker_that_sends_what_it_must_not_costs_one_worker", function()
    local code = [[
      local gipc = require "gipc"
      local native = require "gipc.native"
      local h = gipc.inherit("worker", { codec = "raw" })
      h:put(native.worker_encode "R")
      while true do
        local data = h:get()
        if not data then return end
        local _, task, job = native.worker_decode(data)
        if job == "twice" then h:put(native.worker_encode("D", task, 0, job)) end
        h:put(job == "nonsense" and "?" or native.worker_encode("D", task, 0, job))
        if job == "close" then h:abort() gipc.sleep(60) end
      end
    ]]
    with_pool({ argv = { support.interpreter, "-e", code }, workers = 1, codec = "raw" }, nil, function(pool)
      equal(pool:call "a", "a")
      failed("WorkerDied", "sent what it must not send", gipc.EDEAD, pool:call "nonsense")
      equal(pool:call "twice", "twice")
      equal(pool:call("b", { retries = 1 }), "b")
      equal(pool:stats().failures, 2)
    end)
  end)

  test("a_wrong_option_is_refused_by_name", function()
    local function refused(text, options, work)
      raises("test_pools.*gipc: .*" .. text, function() gipc.pool(options, work) end)
    end
    refused('there is no option "worker"', { worker = 3 }, square)
    refused('there is no option "handles"', { handles = {} }, square)
    refused("workers is not valid: %-1", { workers = -1 }, square)
    refused("workers is a number, not a table", { workers = {} }, square)
    refused("least is not valid: 5", { workers = 2, least = 5 }, square)
    refused("queue_limit is not valid: 0.5", { queue_limit = 0.5 }, square)
    refused("timeout is a number of seconds, more than 0, not 0", { timeout = 0 }, square)
    refused('retry_for is a list of .*, not "died!"', { retry_for = "died!" }, square)
    refused("retries is an integer, 0 or more", { retries = -1 }, square)
    refused("prepare is a function, not 5", { prepare = 5 }, square)
    refused('stdout of a worker is not "pipe"', { stdout = "pipe" }, square)
    refused('stdin of a worker is not "pipe"', { stdin = "pipe", argv = { "true" } })
    refused("cwd is a string without NUL, not 5", { cwd = 5 }, square)
    refused("either a function for its workers, or the option argv", {})
    refused("either a function for its workers, or the option argv", { argv = { "true" } }, square)
    refused("prepare is an option of gipc.serve", { argv = { "true" }, prepare = square })
    refused('no codec "x"', { codec = "x" }, square)
    if support.loop == "own" then
      raises("there is no option", gipc.serve, square, { workers = 1 })
    end
    with_pool({}, square, function(pool)
      raises('there is no option "timout"', pool.call, pool, 1, { timout = 1 })
      raises("timeout is a number", pool.submit, pool, 1, { timeout = 0 / 0 })
    end)
  end)

  test("a_pool_cannot_be_used_in_a_child", function()
    with_pool({ workers = 1 }, square, function(pool)
      equal(pool:call(2), 4)
      local child = gipc.start_process({ stderr = "null" }, function()
        local ok, message = pcall(pool.call, pool, 3)
        local is_refused = not ok and message:find "belongs to another process"
        pool = nil
        collectgarbage()
        collectgarbage()
        os.exit(is_refused and 7 or 1)
      end)
      assert(child:join(10))
      equal(child:exitcode(), 7)
      equal(pool:call(3), 9)
      equal(pool:stats().starts, 1)
    end)
  end)

  test("others_run_while_a_call_waits", function()
    support.needs_others()
    local path = os.tmpname()
    os.remove(path)
    with_pool({ workers = 2 }, function(job)
      wait_for_file(path)
      return job
    end, function(pool)
      local results, count = {}, 0
      for i = 1, 5 do
        support.on.spawn(function()
          results[i] = pool:call(i)
          count = count + 1
        end)
      end
      support.wait_until(function()
        return pool:stats().submitted == 5
      end)
      equal(count, 0)
      touch(path)
      support.wait_until(function()
        return count == 5
      end)
      for i = 1, 5 do
        equal(results[i], i)
      end
    end)
    os.remove(path)
  end)

  test("a_cancelled_call_cancels_its_task", function()
    if support.loop ~= "own" or support.is_51 then
      support.not_here "only tasks of the own scheduler can be cancelled; on Lua 5.1 no guard sees it"
    end
    with_pool({ workers = 1 }, function() gipc.sleep(60) end, function(pool)
      local caller = gipc.spawn(function()
        pool:call(1)
      end)
      support.wait_until(function()
        return pool:stats().running == 1
      end)
      caller:cancel()
      caller:join()
      support.wait_until(function()
        return pool:stats().cancelled == 1
      end)
    end)
  end)

  test("a_loop_that_is_left_cancels_its_tasks", function()
    if _VERSION < "Lua 5.4" then
      support.not_here "loops close nothing before Lua 5.4"
    end
    with_pool({ workers = 1 }, function(job)
      if job > 1 then
        gipc.sleep(60)
      end
      return job
    end, function(pool)
      for index in pool:map { 1, 2, 3 } do
        equal(index, 1)
        break
      end
      support.wait_until(function()
        pool:submit(1):join(0.001)
        return pool:stats().cancelled >= 1
      end)
    end)
  end)

  test("no_task_is_lost_or_done_twice_while_workers_are_killed", function()
    local path = os.tmpname()
    with_pool({ workers = 3, retries = 20, poison = 21 }, function(job, assignment)
      if job % 10 == 0 and assignment.attempt == 1 then
        die "KILL"
        gipc.sleep(60)
      end
      local file = assert(io.open(path, "a"))
      file:write(job, "\n")
      file:close()
      return job
    end, function(pool)
      local jobs = {}
      for i = 1, support.long and 3000 or 100 do
        jobs[i] = i
      end
      local list = collect(pool:map(jobs))
      local lines = {}
      for line in io.lines(path) do
        lines[line] = (lines[line] or 0) + 1
      end
      for i = 1, #jobs do
        equal(list[i], i)
        equal(lines[tostring(i)], 1, "executions of " .. i)
      end
    end)
    os.remove(path)
  end)
end
