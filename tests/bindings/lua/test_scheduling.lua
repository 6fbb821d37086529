-- gipc's own scheduler.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

return function(test)
  local function test_own(name, body)
    test(name, function()
      if support.loop ~= "own" then
        support.not_here "of the own scheduler"
      end
      body()
    end)
  end

  -- The number of the descriptor is reused at once: libev must not find the old wait.
  test_own("a_background_flush_ends_when_its_handle_is_aborted", function()
    local r, w = gipc.pipe { codec = "raw" }
    local quiet, other = gipc.pipe { codec = "raw" }
    local _, _, code = w:put(("x"):rep(3000000), 0)
    equal(code, gipc.EINPROGRESS)
    while not w.flushing do
      gipc.sleep(0)
    end
    equal(select(3, gipc.wait({ quiet }, 0.01)), gipc.ETIMEDOUT) -- the loop has seen it
    w:abort()
    for _ = 1, 3 do
      equal(select(3, gipc.wait({ quiet }, 0.01)), gipc.ETIMEDOUT)
    end
    gipc.sleep(0)
    r:abort()
    quiet:close()
    other:close()
  end)

  test_own("a_task_gives_its_results", function()
    local task = gipc.spawn(function(a, b)
      gipc.sleep(0.001)
      return a + b, nil, "last"
    end, 1, 2)
    local ok, sum, none, last = task:join()
    equal(ok, true)
    equal(sum, 3)
    equal(none, nil)
    equal(last, "last")
    equal(select(2, task:join()), 3)
    equal(task:cancel(), false)
    equal(tostring(task), "gipc task: done")
  end)

  test_own("an_error_in_a_task_is_given_to_who_joins_it", function()
    local task = gipc.spawn(function()
      gipc.sleep(0.001)
      error "went wrong"
    end)
    local ok, message = task:join()
    equal(ok, nil)
    equal(message:match "test_scheduling%.lua:%d+: went wrong" ~= nil, true, message)
  end)

  test_own("an_error_in_a_task_that_nobody_joins_is_printed", function()
    local text, code = support.output_of(function(options)
      return gipc.start_process(options, function()
        gipc.spawn(function()
          error "nobody sees"
        end)
        support.settle()
      end)
    end)
    equal(text:match "error in a task: .*nobody sees\nstack traceback:" ~= nil, true, text)
    equal(code, 1) -- of a child whose task failed
  end)

  test_own("a_join_of_a_task_times_out", function()
    local task = gipc.spawn(function()
      gipc.sleep(0.05)
      return "in time"
    end)
    fails(gipc.ETIMEDOUT, "^timeout$", task:join(0.001))
    equal(select(2, task:join(60)), "in time")
  end)

  test_own("a_negative_timeout_waits_indefinitely_for_a_task", function()
    local r, w = gipc.pipe()
    local task = gipc.spawn(function()
      return r:get()
    end)
    local joins = {}
    for i, timeout in ipairs { -1, math.huge } do
      joins[i] = gipc.spawn(function()
        return select(2, task:join(timeout))
      end)
    end
    gipc.sleep(0)
    w:put "x"
    for _, join in ipairs(joins) do
      equal(select(2, join:join()), "x")
    end
    r:close()
    w:close()
  end)

  test_own("a_task_is_cancelled_where_it_waits", function()
    local r, w = gipc.pipe { codec = "raw" }
    local child = gipc.start_process(function()
      gipc.sleep(60)
    end)
    local waits = {
      function()
        r:get()
      end,
      function()
        gipc.sleep(60)
      end,
      function()
        child:join()
      end,
      function()
        gipc.spawn(gipc.sleep, 0.01):join()
        gipc.sleep(60)
      end,
    }
    for i, wait in ipairs(waits) do
      local after = false
      local task = gipc.spawn(function()
        wait()
        after = true
      end)
      support.settle()
      equal(task:cancel(), true)
      local ok, message = task:join(60)
      equal(ok, nil, "wait " .. i)
      equal(message, "cancelled")
      equal(after, false)
      equal(tostring(task), "gipc task: cancelled")
    end
    local begun = false
    local task = gipc.spawn(function()
      begun = true
    end)
    task:cancel()
    equal(select(2, task:join()), "cancelled")
    equal(begun, false)
    equal(r.getting:is_locked_elsewhere(), false)
    child:kill()
    child:join()
    r:close()
    w:close()
  end)

  test_own("a_cancelled_place_in_line_is_given_up", function()
    local r, w = gipc.pipe { codec = "raw" }
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = gipc.spawn(function()
        return r:get()
      end)
    end
    support.settle()
    tasks[2]:cancel()
    tasks[1]:cancel()
    support.settle()
    w:put "for the third"
    equal(select(2, tasks[3]:join(60)), "for the third")
    w:put "for the fourth"
    equal(select(2, tasks[4]:join(60)), "for the fourth")
    r:close()
    w:close()
  end)

  test_own("a_plain_yield_lets_the_others_go_first", function()
    local order = {}
    local a = gipc.spawn(function()
      table.insert(order, "a1")
      coroutine.yield()
      table.insert(order, "a2")
    end)
    local b = gipc.spawn(function()
      table.insert(order, "b")
    end)
    a:join()
    b:join()
    equal(table.concat(order, " "), "a1 b a2")
  end)

  test_own("tasks_that_wait_for_each_other_are_told", function()
    local text, code = support.output_of(function(options)
      return gipc.start_process(options, function()
        local a, b
        a = gipc.spawn(function()
          b:join()
        end)
        b = gipc.spawn(function()
          a:join()
        end)
      end)
    end)
    equal(code, 1)
    equal(text:match "every task waits for another one" ~= nil, true, text)
  end)

  -- H70
  test_own("a_time_begins_when_it_is_asked_for", function()
    support.settle()
    local busy = native.now() + 0.05
    while native.now() < busy do
    end
    local started = native.now()
    gipc.sleep(0.03)
    equal(native.now() - started >= 0.029, true, "slept " .. native.now() - started)
  end)

  test_own("the_main_program_waits_while_tasks_go_on", function()
    local child = support.program [[
      local gipc = require "gipc"
      local r, w = gipc.pipe()
      local task = gipc.spawn(function()
        gipc.sleep(0.001)
        w:put "from a task"
        return "its result"
      end)
      assert(r:get(60) == "from a task")
      assert(select(2, task:join()) == "its result")
      assert(gipc.run(function(a) gipc.sleep(0) return a end, "back") == "back")
      local ok, message = pcall(gipc.run, function() error "through" end)
      assert(not ok and message:find "through")
      ok, message = pcall(gipc.run, function() gipc.run(print) end)
      assert(not ok and message:find "runs already")
      gipc.use "none"
      assert(not pcall(gipc.run, print) and not pcall(gipc.spawn, print))
    ]]
    child:join()
    equal(child:exitcode(), 0)
    raises("seconds", gipc.sleep, "1")
    raises("seconds", gipc.sleep, -1)
    raises("a task is a function, not 5", gipc.spawn, 5)
  end)

  test_own("a_timeout_and_a_message_at_once_lose_nothing", function() -- H69
    local r, w = gipc.pipe { codec = "raw" }
    local got = 0
    for i = 1, 200 do
      local putting = gipc.spawn(function()
        gipc.sleep(0.001)
        w:put(tostring(i))
      end)
      local message = r:get(0.001)
      putting:join()
      if message == nil then
        message = r:get(60)
      end
      equal(message, tostring(i))
      got = got + 1
    end
    equal(got, 200)
    r:close()
    w:close()
  end)

  test("a_wait_of_a_loop_is_one_function", function()
    if support.loop ~= "custom" then
      support.not_here "of a program's own loop"
    end
    equal(require("gipc.loop").name(), "custom")
    raises("gipc.use \"own\"", gipc.run, print)
  end)

  test("a_descriptor_closed_before_the_loop_sees_it_does_not_end_the_process", function()
    local scheduler = native.scheduler_new()
    local r, w = gipc.pipe { codec = "raw" }
    local token = native.scheduler_watch(scheduler, r:fd "r", native.READ, -1)
    r:close()
    w:close()
    equal(native.scheduler_run(scheduler, 0), 1)
    equal(native.scheduler_next(scheduler), token)
  end)
end
