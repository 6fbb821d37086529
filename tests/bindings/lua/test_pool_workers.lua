-- Workers of pools: how they start and end, programs among them, and loops beside them.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local shared = require "support_pools"
local equal, raises = support.equal, support.raises
local with_pool, failed, collect = shared.with_pool, shared.failed, shared.collect
local square, pid_of, die = shared.square, shared.pid_of, shared.die
local touch, wait_for_file = shared.touch, shared.wait_for_file

return function(test)
  local once = support.once(test)

  once("workers_are_prepared_and_retire", function()
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

  once("a_pool_whose_workers_cannot_start_gives_up_and_says_why", function()
    with_pool({ workers = 2, prepare_failures = 2, first_delay = 0.001, stderr = "pipe", prepare = function()
      error("no database", 0)
    end }, square, function(pool)
      local err = failed("PoolBroken", "gave up: its worker of process %d+ ended with exit code 1", gipc.ECLOSED,
        pool:call(1))
      equal(err.task, 1)
      equal(err.exit.code, 1)
      equal(err.stderr:match "no database", "no database")
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

  once("a_program_is_a_worker", function()
    local argv = { support.interpreter, "-e", program }
    for _, options in ipairs { { argv = argv, stdout = "null" }, { launch = argv, stderr = "null" } } do
      options.workers, options.env = 2, { WHO = "me" }
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

  once("a_worker_does_not_keep_the_stderr_of_others_open", function()
    with_pool({ workers = 2, least = 2, stderr = "pipe" }, function()
      local list = io.popen(("ls -l /proc/%d/fd"):format(pid_of()))
      local text = list:read "*a"
      list:close()
      return { text = text, stderr = text:match " 2 %-> (pipe:%[%d+%])" }
    end, function(pool)
      local first, second
      support.wait_until(function() -- both workers have had a task
        local one, other = pool:submit(1), pool:submit(2)
        first, second = one:join(), other:join()
        return first.stderr ~= second.stderr
      end)
      equal(first.text:find(second.stderr, 1, true), nil)
      equal(second.text:find(first.stderr, 1, true), nil)
    end)
  end)

  once("a_program_in_another_language_is_a_worker", function()
    local path = assert(os.getenv "GIPC_TEST_PROGRAMS", "GIPC_TEST_PROGRAMS") .. "/child_worker"
    for _, options in ipairs { { argv = { path, "worker" } }, { launch = { path, "stdio" } } } do
      options.codec, options.workers = "raw", 2
      with_pool(options, nil, function(pool)
        local list = collect(pool:map { "abc", "die", "xyz", ("x"):rep(65) })
        equal(list[1], "cba")
        equal(list[2].exit.code, 4)
        equal(list[3], "zyx")
        equal(list[4].class, "gipc")
      end)
    end
  end)

  local liar = [[
    local gipc = require "gipc"
    local native = require "gipc.native"
    local h = gipc.inherit("worker", { codec = "raw" })
    h:put(native.worker_encode "R")
    while true do
      local data = h:get()
      if not data then return end
      local _, task, job = native.worker_decode(data)
      if job == "twice" then h:put(native.worker_encode("D", task, 0, job)) end
      if job == "close" then h:abort() gipc.sleep(60) end
      h:put(job == "nonsense" and "?" or native.worker_encode("D", task, 0, job))
    end
  ]]

  once("a_worker_that_sends_what_it_must_not_costs_one_worker", function()
    with_pool({ argv = { support.interpreter, "-e", liar }, workers = 1, codec = "raw" }, nil, function(pool)
      equal(pool:call "a", "a")
      failed("WorkerDied", "sent what it must not send", gipc.EDEAD, pool:call "nonsense")
      equal(pool:call "twice", "twice")
      equal(pool:call("b", { retries = 1 }), "b")
      equal(pool:stats().failures, 2)
    end)
  end)

  once("a_worker_that_closes_its_stream_and_runs_on_is_stopped", function()
    local member = require "gipc.pool.member"
    local closed_for = member.closed_for
    member.closed_for = 0.2
    with_pool({ argv = { support.interpreter, "-e", liar }, workers = 1, codec = "raw" }, nil, function(pool)
      local task = pool:submit "close"
      local looks = shared.count_looks(function()
        task:join()
      end)
      local err = failed("WorkerDied", "sent what it must not send", gipc.EDEAD, task:join())
      equal(err.exit.signal, 15)
      equal(looks < 100, true, looks .. " looks") -- one in 50 ms without a pidfd
    end)
    member.closed_for = closed_for
  end)

  once("a_worker_that_closes_its_stdin_and_runs_on_is_stopped", function()
    local member = require "gipc.pool.member"
    local closed_for = member.closed_for
    member.closed_for = 0.05
    local script = "printf '\\0\\0\\0\\2R\\1'; head -c 1 >/dev/null; exec sleep 60 <&-"
    with_pool({ launch = { "sh", "-c", script }, workers = 1, codec = "raw" }, nil, function(pool)
      local err = failed("WorkerDied", "sent what it must not send", gipc.EDEAD, pool:call "x")
      equal(err.exit.signal, 15)
    end)
    member.closed_for = closed_for
  end)

  local function of_silence(job, assignment)
    while job == "spin" do -- for the compiler of LuaJIT: no loop that it compiles looks at hooks
      assert(loadstring or load)("return 1")()
    end
    if job == "sleep" then
      gipc.spawn(function() gipc.sleep(60) end)
      gipc.sleep(60)
    end
    for _ = 1, 3 do
      assert(assignment:alive())
      assert(gipc.alive())
    end
    return job
  end

  once("a_silent_worker_prints_its_tracebacks_and_is_stopped", function()
    with_pool({ workers = 1, silence = 0.1, dump = 2, stderr = "pipe" }, of_silence, function(pool)
      for _, job in ipairs { "sleep", "spin" } do
        local err = failed("WorkerDied", "gave no sign of life", gipc.EDEAD, pool:call(job))
        equal(err.exit.signal, 15)
        equal(err.stderr:match "gipc: process %d+ has given no sign of life", ("gipc: process %d has given no sign of life"):format(err.pid))
        equal(err.stderr:match "test_pool_workers%.lua:%d+: in" ~= nil, true, err.stderr)
        local _, count = err.stderr:gsub("stack traceback:", "")
        equal(count >= (job == "sleep" and 3 or 2), true, err.stderr)
      end
      equal(pool:call "speaks", "speaks")
    end)
  end)

  once("a_silent_worker_gets_the_signal_for_a_dump", function()
    local program = [[
      require "gipc".serve(function() while true do end end)
    ]]
    for signal, number in pairs { [false] = 15, USR2 = 12 } do
      local options = { argv = { support.interpreter, "-e", program }, workers = 1, silence = 0.1,
        dump = signal and 60 or 0.01, dump_signal = signal or nil }
      with_pool(options, nil, function(pool)
        local err = failed("WorkerDied", "", gipc.EDEAD, pool:call(1))
        equal(err.exit.signal, number)
      end)
    end
  end)

  test("a_pool_that_waits_uses_no_processor", function()
    with_pool({ workers = 2, codec = "raw" }, function(job)
      gipc.sleep(job == "long" and 60 or 0)
      return job
    end, function(pool)
      equal(pool:call(("x"):rep(1000000)), ("x"):rep(1000000))
      local task = pool:submit "long"
      local looks = shared.count_looks(function()
        task:join(0.1)
      end)
      equal(looks < 20, true, looks .. " looks")
    end)
  end)

  once("a_program_whose_main_task_fails_ends_with_its_pool", function()
    local text, code = support.output_of(function(options)
      options.env = { LUA_PATH = package.path, LUA_CPATH = package.cpath }
      return gipc.exec_process({ support.interpreter, "-e", [[
        local gipc = require "gipc"
        gipc.run(function()
          local pool = gipc.pool({ workers = 1 }, function(n) return n end)
          assert(pool:call(1) == 1)
          error "on purpose"
        end)
      ]] }, options)
    end)
    equal(text:match "on purpose", "on purpose")
    equal(code, 1)
  end)

  once("a_wrong_option_is_refused_by_name", function()
    local function refused(text, options, work)
      raises("test_pool_workers.*gipc: .*" .. text, function() gipc.pool(options, work) end)
    end
    refused('there is no option "worker"', { worker = 3 }, square)
    refused('there is no option "handles"', { handles = {} }, square)
    refused("workers is not valid: %-1", { workers = -1 }, square)
    refused("workers is not valid: 0", { workers = 0 }, square)
    refused("workers is not valid: 1048576", { workers = 2 ^ 20 }, square)
    refused("workers is not valid: inf", { workers = math.huge }, square)
    refused("workers is a number, not a table", { workers = {} }, square)
    refused("least is not valid: 5", { workers = 2, least = 5 }, square)
    for _, name in ipairs {
      "workers", "least", "queue_limit", "queue_low", "retire_tasks", "retire_memory", "idle", "ahead", "poison",
      "prepare_failures", "ready_within", "silence", "dump", "grace", "first_delay", "longest_delay", "growth", "jitter",
      "healthy", "window", "limit", "seed", "timeout", "priority", "retries", "retry_for", "prepare", "codec", "argv",
      "dump_signal", "env", "cwd", "stderr", "rlimits", "daemon", "name", "nice", "umask", "group", "user",
    } do
      for _, wrong in ipairs { 0 / 0, "?", name == "prepare" and {} or print } do
        if wrong ~= "?" or not ("name cwd"):find(name, 1, true) then
          refused(name == "argv" and "argument" or name, { [name] = wrong }, name ~= "argv" and square or nil)
        end
      end
    end
    refused("queue_limit is not valid: 0.5", { queue_limit = 0.5 }, square)
    refused("timeout is a number of seconds, more than 0, not 0", { timeout = 0 }, square)
    refused('retry_for is a list of .*, not "died!"', { retry_for = "died!" }, square)
    refused("retries is an integer, 0 or more", { retries = -1 }, square)
    refused("prepare is a function, not 5", { prepare = 5 }, square)
    refused('stdout of a worker is not "pipe"', { stdout = "pipe" }, square)
    refused('stdin of a worker is not "pipe"', { stdin = "pipe", argv = { "true" } })
    refused("cwd is a string without NUL, not 5", { cwd = 5 }, square)
    refused("either a function for its workers, or one of the options argv and launch", {})
    refused("either a function for its workers, or one of the options argv and launch", { argv = { "true" } }, square)
    refused("prepare is an option of gipc.serve", { argv = { "true" }, prepare = square })
    refused('no codec "x"', { codec = "x" }, square)
    raises("there is no option", gipc.serve, square, { workers = 1 })
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

  -- How many parked waits expired during body(): what is not woken is found when it
  -- looks again.
  local function count_expired(body)
    local loop = require "gipc.loop"
    local park, expired = loop.park, 0
    loop.park = function(...)
      local woken = park(...)
      expired = expired + (woken and 0 or 1)
      return woken
    end
    body()
    loop.park = park
    return expired
  end

  test("a_wait_is_woken_when_its_time_has_come", function()
    if not support.on.spawn or support.loop == "custom" then
      support.not_here "nothing works in the background there"
    end
    with_pool({ workers = 1, queue_limit = 1 }, square, function(pool)
      local expired = count_expired(function()
        for i = 1, 10 do
          equal(pool:call(i), i * i)
        end
        for i = 1, 30 do
          assert(pool:submit(i)) -- the queue is full in most of them
        end
      end)
      equal(expired < 10, true, expired .. " waits expired")
    end)
  end)

  test("a_caller_that_has_its_result_lets_another_one_wait", function()
    support.needs_others()
    with_pool({ workers = 2 }, wait_for_file, function(pool)
      local expired = count_expired(function()
        for _ = 1, 10 do
          local first, second, over = os.tmpname(), os.tmpname(), false
          os.remove(first)
          os.remove(second)
          support.on.spawn(function()
            pool:call(first)
            touch(second)
          end)
          support.on.spawn(function()
            pool:call(second)
            over = true
          end)
          support.wait_until(function()
            return pool:stats().running == 2
          end)
          touch(first)
          support.wait_until(function()
            return over
          end)
          os.remove(first)
          os.remove(second)
        end
      end)
      equal(expired < 10, true, expired .. " waits expired")
    end)
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
