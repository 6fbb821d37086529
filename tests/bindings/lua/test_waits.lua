-- Waits: what is registered while a coroutine waits, and what remains of it.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

-- Where a coroutine cannot yield: inside a callback of C.
local function in_gsub(f)
  local ok, message
  ok, message = pcall(string.gsub, "x", "x", function()
    f()
  end)
  return ok, tostring(message)
end

local function has_a_loop()
  return support.loop ~= "none"
end

return function(test)
  local function test_own(name, body)
    test(name, function()
      if support.loop ~= "own" then
        support.not_here "of the own scheduler"
      end
      body()
    end)
  end

  -- H128
  test("a_wait_that_cannot_yield_is_an_error_and_leaves_nothing", function()
    if not has_a_loop() then
      support.not_here "it blocks there"
    end
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local over = false
    support.on.spawn(function() -- somebody whom a wait has to yield to
      while not over do
        gipc.sleep(0.001)
      end
    end)
    support.settle()
    for _, wait in ipairs {
      function()
        gipc.sleep(0.01)
      end,
      function()
        r:get(0.01)
      end,
      function()
        r:get()
      end,
    } do
      local ok, message = in_gsub(wait)
      equal(ok, false)
      equal(message:find "cannot wait here" ~= nil, true, message)
    end
    -- A wait that were still registered would end this one early.
    w:put "x"
    local started = native.now()
    gipc.sleep(0.05)
    equal(native.now() - started >= 0.049, true, "slept " .. native.now() - started)
    equal(r.getting:is_locked_elsewhere(), false)
    equal(r:get(60), "x")
    over = true
    gipc.sleep(0.01)
    r:close()
    w:close()
  end)

  test_own("a_task_that_could_not_wait_ends_once", function()
    local r, w = gipc.pipe { codec = "raw" }
    local task = gipc.spawn(function()
      in_gsub(function()
        r:get()
      end)
      return "went on"
    end)
    support.settle() -- a wait that it would have to yield to
    equal(select(2, task:join()), "went on")
    w:put "x"
    support.settle() -- the count of tasks would be wrong here
    equal(r:get(60), "x")
    r:close()
    w:close()
  end)

  test_own("a_task_that_waits_does_not_hold_up_one_that_is_ready", function()
    local r, w = gipc.pipe { codec = "raw" }
    local task = gipc.spawn(function()
      return r:get()
    end)
    gipc.sleep(0) -- in the same round, after it
    w:put "x"
    equal(select(2, task:join(60)), "x")
    r:close()
    w:close()
  end)

  test("messages_that_are_there_need_no_yield", function()
    local r, w = gipc.pipe { codec = "raw" }
    local list = {}
    for i = 1, 2500 do
      list[i] = "m"
    end
    assert(w:put_many(list))
    w:close()
    local count = 0
    local ok, message = in_gsub(function()
      for _ = 1, 1250 do
        count = count + (r:get(0) and 1 or 0)
      end
    end)
    equal(ok, true, message)
    for _ = 1, 1250 do
      count = count + (r:get(0) and 1 or 0)
    end
    equal(count, 2500)
    r:close()
  end)

  -- The first loop of the README, in a child alone.
  test("messages_are_iterated_in_a_child_on_every_lua", function()
    local r, w = gipc.pipe { codec = "raw" }
    local results, out = gipc.pipe()
    local child = gipc.start_process(function(r, out)
      local count = 0
      for _ in r:messages() do
        count = count + 1
      end
      out:put(count)
    end, r, out)
    local list = {}
    for i = 1, 3000 do
      list[i] = "m"
    end
    assert(w:put_many(list))
    w:close()
    equal(results:get(10), 3000)
    assert(child:join(10))
    equal(child:exitcode(), 0)
    results:close()
  end)

  -- ---- Generators -----------------------------------------------------------------

  local function received(h, wrap)
    return wrap(function()
      local message = h:get()
      while message do
        coroutine.yield(message)
        message = h:get()
      end
    end)
  end

  test("a_generator_of_gipc_waits_on_every_loop", function()
    local r, w = gipc.pipe { codec = "raw" }
    local function send()
      for i = 1, 5 do
        if support.on.spawn then
          gipc.sleep(0.001)
        end
        w:put("m" .. i)
      end
      w:close()
    end
    if support.on.spawn then
      support.on.spawn(send)
    else
      send()
    end
    local next_message, got = received(r, gipc.wrap), {}
    local message = next_message()
    while message do
      table.insert(got, message)
      message = next_message()
    end
    equal(table.concat(got, " "), "m1 m2 m3 m4 m5")
    r:close()
  end)

  test("a_generator_inside_a_generator_waits_too", function()
    local r, w = gipc.pipe { codec = "raw" }
    w:put_many { "a", "b" }
    local outer = gipc.wrap(function()
      local inner = received(r, gipc.wrap)
      coroutine.yield(inner() .. "1")
      gipc.sleep(0.001)
      coroutine.yield(inner() .. "2")
      error { "its own" }
    end)
    equal(outer(), "a1")
    equal(outer(), "b2")
    local ok, failure = pcall(outer)
    equal(ok, false)
    equal(failure[1], "its own")
    raises("takes a function, not a table", gipc.wrap, {})
    r:close()
    w:close()
  end)

  -- H128
  test("a_wait_in_another_coroutine_is_an_error", function()
    if not has_a_loop() or support.loop == "custom" then
      support.not_here "there the coroutine of the caller waits"
    end
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    support.on.spawn(function() end)
    local next_message = received(r, coroutine.wrap)
    local ok, message = pcall(function()
      return "got " .. next_message()
    end)
    equal(ok, false)
    equal(tostring(message):find "make it with gipc.wrap" ~= nil, true, message)
    next_message = nil
    w:close()
    support.settle()
    collectgarbage()
    collectgarbage()
    r:close()
  end)

  test_own("tasks_talk_through_generators", function()
    local a, b = gipc.pipe { duplex = true, codec = "raw" }
    local answering = gipc.spawn(function()
      local next_message = received(a, gipc.wrap)
      repeat
        local message = next_message()
        a:put("re:" .. message)
      until message == "3"
    end)
    local asking = gipc.spawn(function()
      local next_message = received(b, gipc.wrap)
      for i = 1, 3 do
        b:put(tostring(i))
        equal(next_message(), "re:" .. i)
      end
    end)
    assert(answering:join(60))
    assert(asking:join(60))
    local done, tasks = 0, {}
    for i = 1, 250 do
      tasks[i] = gipc.spawn(function()
        gipc.wrap(function()
          gipc.sleep(0.001)
          coroutine.yield(1)
        end)()
        done = done + 1
      end)
    end
    for i = 1, 250 do
      assert(tasks[i]:join())
    end
    equal(done, 250)
    a:close()
    b:close()
  end)

  test_own("a_task_is_cancelled_inside_a_generator", function()
    local r, w = gipc.pipe { codec = "raw" }
    local task = gipc.spawn(function()
      received(r, gipc.wrap)()
    end)
    support.settle()
    task:cancel()
    equal(select(2, task:join(60)), "cancelled")
    task = nil
    collectgarbage()
    collectgarbage()
    w:put "x"
    equal(r:get(60), "x")
    r:close()
    w:close()
  end)

  -- ---- Coroutines that are closed -----------------------------------------------------

  test("a_coroutine_that_is_closed_leaves_no_watcher", function()
    if not coroutine.close then
      support.not_here "only Lua 5.4 closes coroutines"
    end
    if support.loop ~= "luv" then
      support.not_here "the coroutines of this loop are its own"
    end
    local uv = require "luv"
    -- Those that keep the loop running.  luv 1.51 cannot walk in a coroutine.
    local function active_watchers()
      local count, test_of = 0, coroutine.running()
      local idle = uv.new_idle()
      idle:start(function()
        idle:close()
        uv.walk(function(watcher)
          count = count + (watcher:is_active() and watcher:has_ref() and 1 or 0)
        end)
        assert(coroutine.resume(test_of))
      end)
      coroutine.yield()
      return count
    end
    local r, w = gipc.pipe { codec = "raw" }
    for _, wait in ipairs {
      function()
        r:get()
      end,
      function()
        r:get(60)
      end,
      function()
        gipc.sleep(60)
      end,
    } do
      local co = coroutine.create(wait)
      coroutine.resume(co)
      local before = active_watchers()
      coroutine.close(co)
      equal(active_watchers() < before, true, "active watchers")
    end
    r:close() -- luv would abort here, or at its next iteration
    w:close()
    support.settle()
  end)

  -- luv prints that of what it watches itself.
  test("the_end_of_a_peer_that_left_bytes_unread_prints_nothing", function()
    if support.loop ~= "luv" then
      support.not_here "the other loops print nothing"
    end
    local script = [[
      local gipc, uv = require "gipc", require "luv"
      gipc.use "luv"
      coroutine.wrap(function()
        local a, b = gipc.pipe { duplex = true, codec = "raw" }
        coroutine.wrap(function()
          gipc.sleep(0.01)
          b:abort()
        end)()
        a:put "unread"
        print((a:get(60)))
        a:abort()
      end)()
      uv.run()
      print(uv.loop_alive())
    ]]
    local output = io.popen(("%s -e '%s' 2>&1"):format(support.interpreter, (script:gsub("\n", " "))))
    local text = output:read "*a"
    output:close()
    equal(text, "nil\nfalse\n")
  end)

  test_own("a_task_whose_coroutine_is_closed_has_ended", function()
    if not coroutine.close then
      support.not_here "only Lua 5.4 closes coroutines"
    end
    local r, w = gipc.pipe { codec = "raw" }
    local co
    local task = gipc.spawn(function()
      co = coroutine.running()
      r:get()
    end)
    support.settle()
    coroutine.close(co)
    equal(select(2, task:join(60)), "cancelled")
    r:close()
    w:close()
  end)

  -- ---- What waiting costs -----------------------------------------------------------

  test("many_that_wait_for_one_handle_hold_no_descriptors", function()
    support.needs_others()
    if support.loop == "copas" or support.loop == "custom" then
      support.not_here "this loop has nothing else to wait for"
    end
    local r, w = gipc.pipe { codec = "raw" }
    local before, got = support.descriptors(), 0
    for _ = 1, 100 do
      support.on.spawn(function()
        equal(r:get(), "x")
        got = got + 1
      end)
    end
    support.settle()
    equal(support.descriptors() - before <= 2, true, "descriptors: " .. support.descriptors() - before)
    for _ = 1, 100 do
      w:put "x"
    end
    while got < 100 do
      gipc.sleep(0.001)
    end
    r:close()
    w:close()
  end)

  test_own("joins_that_time_out_are_forgotten", function()
    local task = gipc.spawn(function()
      gipc.sleep(60)
    end)
    for _ = 1, 100 do
      fails(gipc.ETIMEDOUT, "timeout", task:join(0.0001))
    end
    equal(#task.joiners, 0)
    task:cancel()
    task:join()
  end)

  test("without_a_free_descriptor_unreferenced_handles_are_collected", function()
    if support.loop ~= "own" then
      support.not_here "once for each Lua is enough"
    end
    local child = gipc.exec_process({
      "sh", "-c", 'ulimit -n 40; exec "$0" -e "$1"', support.interpreter, [[
      local gipc = require "gipc"
      collectgarbage "stop"
      for _ = 1, 200 do
        assert(gipc.pipe { duplex = true })
      end
      local p = assert(gipc.exec_process { "true" })
      assert(p:join())]],
    })
    assert(child:join(20))
    equal(child:exitcode(), 0)
  end)

  -- ---- What other loops ask of an object ----------------------------------------------

  test("cqueues_and_select_wait_for_handles_and_processes", function()
    local r, w = gipc.pipe { codec = "raw" }
    local child = gipc.start_process(function() end)
    equal(r:events(), "r")
    equal(w:events(), "w")
    equal(r:pollfd(), r:fd "r")
    equal(w:getfd(), w:fd "w")
    equal(child:pollfd(), child:fd())
    equal(child:events(), "r")
    equal(r:dirty(), false)
    equal(r:timeout(), nil)
    w:put_many { "a", "b" }
    equal(r:get(), "a")
    equal(r:dirty(), true) -- in memory: the descriptor is not readable
    equal(r:timeout(), 0)
    if support.has "socket" and support.loop == "none" then
      local socket = require "socket"
      equal(socket.select({ r }, nil, 5)[1], r)
      equal(r:get(), "b")
      equal(#socket.select({ r }, nil, 0), 0)
      equal(socket.select({ child }, nil, 5)[1], child)
    elseif support.loop == "cqueues" then
      local cqueues = require "cqueues"
      equal(cqueues.poll(r, 5), r)
      equal(r:get(), "b")
      equal(cqueues.poll(child, 5), child)
    end
    assert(child:join(60))
    r:close()
    w:close()
  end)
end
