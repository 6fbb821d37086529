-- Handles: their owners, locks and states.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises
local unpack = table.unpack or unpack

return function(test)
  -- H96
  test("a_closed_handle_says_so", function()
    local r, w = gipc.pipe { codec = "raw" }
    r:close()
    w:close()
    equal(r:closed(), true)
    raises("closed", r.get, r)
    raises("closed", w.put, w, "x")
    raises("closed", w.put_many, w, { "x" })
    raises("closed", r.close, r)
    raises("closed", r.fd, r, "r")
    equal(tostring(r), "gipc handle: closed")
  end)

  test("a_handle_is_used_in_its_direction", function()
    local r, w = gipc.pipe { codec = "raw" }
    raises("direction", w.get, w)
    raises("direction", r.put, r, "x")
    equal(tostring(r), "gipc handle: reads " .. r:fd "r")
    equal(tostring(w), "gipc handle: writes " .. w:fd "w")
    r:close()
    w:close()
  end)

  test("misuse_is_raised_at_the_line_of_the_caller", function()
    local r, w = gipc.pipe { codec = "raw" }
    local ok, message = pcall(function()
      r:put "x"
    end)
    equal(ok, false)
    equal(message:match "test_handles%.lua:%d+: gipc: ", message:match "test_handles%.lua:%d+: gipc: " or "there")
    for _, wrong in ipairs { "1", 0 / 0, {} } do
      assert(w:put "first")
      for _, call in ipairs { { r.get, r }, { w.put, w, "x" }, { w.put_many, w, { "x" } }, { w.flush, w } } do
        call[#call + 1] = wrong
        raises("timeout is a number", unpack(call))
      end
      equal(r:get(), "first") -- and nothing has been got or put before
      fails(gipc.ETIMEDOUT, "^timeout$", r:get(0))
    end
    raises("no codec", gipc.pipe, { codec = "morse" })
    raises("list of messages", w.put_many, w, "x")
    raises("use", gipc.use, "nothing")
    r:close()
    w:close()
  end)

  test("a_handle_in_use_cannot_be_closed", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local got
    support.on.spawn(function()
      got = r:get()
    end)
    support.settle()
    raises("in progress", r.close, r)
    raises("in progress", gipc.start_process, function() end, r)
    w:put "x"
    while not got do
      gipc.sleep(0.001)
    end
    equal(got, "x")
    equal(r:close(), true)
    w:close()
  end)

  -- H36, H37
  test("a_handle_of_another_process_says_so", function()
    local r, w = gipc.pipe { codec = "raw" }
    local answers, out = gipc.pipe()
    local child = gipc.start_process(function(out)
      local results = {}
      for _, use in ipairs { { r.get, r }, { w.put, w, "x" }, { w.close, w } } do
        local _, message = pcall(use[1], use[2], use[3])
        table.insert(results, tostring(message))
      end
      out:put(results)
    end, out)
    for _, message in ipairs((answers:get())) do
      equal(message:match "belongs to another process", "belongs to another process", message)
    end
    raises("closed", out.put, out, 1) -- moved
    child:join()
    answers:close()
    assert(w:put "mine")
    equal(r:get(), "mine")
    r:close()
    w:close()
  end)

  test("leaving_the_block_closes", function()
    if _VERSION < "Lua 5.4" then
      support.not_here "only Lua 5.4 has to-be-closed variables"
    end
    local r, w, p = assert(load [[
      local gipc = ...
      local r, w = gipc.pipe()
      local p
      do
        local r <close> = r
        local w <close> = w
        assert(w:put(1))
        local started <close> = gipc.start_process(function() gipc.sleep(60) end)
        p = started
      end
      pcall(function()
        local a, b = gipc.pipe()
        local a <close> = a
        local b <close> = b
        r = a
        error "on the way"
      end)
      return r, w, p]])(gipc)
    equal(r:closed(), true)
    equal(w:closed(), true)
    equal(tostring(p):match "closed", "closed")
  end)

  test("unreferenced_handles_are_freed", function()
    local before = support.descriptors()
    for _ = 1, 50 do
      gipc.pipe { duplex = true }
    end
    collectgarbage()
    collectgarbage()
    equal(support.descriptors() <= before, true)
  end)

  -- H73
  test("two_waiters_take_turns", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local got, ended = {}, 0
    for reader = 1, 3 do
      support.on.spawn(function()
        for _ = 1, 4 do
          table.insert(got, r:get() .. reader)
        end
        ended = ended + 1
      end)
    end
    for i = 1, 12 do
      gipc.sleep(0.002)
      assert(w:put(("%02d "):format(i)))
    end
    while ended < 3 do
      gipc.sleep(0.001)
    end
    equal(#got, 12)
    for i = 1, 12 do
      equal(tonumber(got[i]:sub(1, 2)), i)
    end
    -- One at a time: the second waits while the first one has the lock.
    equal(got[1]:sub(-1) ~= got[2]:sub(-1), true, "the next one gets the lock")
    equal(r.getting.locked, false)
    r:close()
    w:close()
  end)

  test("two_putters_share_a_handle_fairly", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local ended = 0
    for _, letter in ipairs { "a", "b", "c" } do
      support.on.spawn(function()
        for _ = 1, 3 do
          assert(w:put(letter:rep(500000)))
        end
        ended = ended + 1
      end)
    end
    local counts = { a = 0, b = 0, c = 0 }
    for _ = 1, 9 do
      local message = r:get(10)
      local letter = message:sub(1, 1)
      equal(message == letter:rep(500000), true, "a torn message")
      counts[letter] = counts[letter] + 1
    end
    while ended < 3 do
      gipc.sleep(0.001)
    end
    equal(counts.a + counts.b * 10 + counts.c * 100, 333)
    r:close()
    w:close()
  end)

  test("a_lock_is_waited_for_with_a_timeout", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local got
    support.on.spawn(function()
      got = r:get()
    end)
    support.settle()
    fails(gipc.ETIMEDOUT, "^timeout$", r:get(0.02))
    w:put "for the first"
    while not got do
      gipc.sleep(0.001)
    end
    equal(got, "for the first")
    w:put "for the second"
    equal(r:get(60), "for the second")
    r:close()
    w:close()
  end)

  test("a_lock_is_released_when_its_coroutine_is_closed", function()
    support.needs_others()
    if not coroutine.close then
      support.not_here "only Lua 5.4 closes coroutines"
    end
    if support.loop ~= "luv" and support.loop ~= "custom" then
      support.not_here "the coroutines of this loop are its own"
    end
    local r, w = gipc.pipe { codec = "raw" }
    local co = coroutine.create(function()
      r:get()
    end)
    coroutine.resume(co)
    equal(r.getting.locked, true)
    coroutine.close(co)
    equal(r.getting.locked, false)
    w:put "x"
    equal(r:get(60), "x")
    -- And that of a put of which a part was written.
    local message = ("y"):rep(3000000)
    co = coroutine.create(function()
      w:put(message)
    end)
    coroutine.resume(co)
    coroutine.close(co)
    support.on.spawn(function()
      w:put "after it"
    end)
    equal(r:get(60) == message, true)
    equal(r:get(60), "after it")
    r:close()
    w:close()
  end)

  test("a_lock_is_released_when_its_coroutine_is_dropped", function()
    support.needs_others()
    if support.loop ~= "none" and support.loop ~= "own" then
      support.not_here "this loop holds its coroutines"
    end
    local r, w = gipc.pipe { codec = "raw" }
    r.getting:set_holder(coroutine.create(function() end)) -- of one that nobody holds
    collectgarbage()
    collectgarbage()
    w:put "x"
    equal(r:get(60), "x")
    r:close()
    w:close()
  end)

  test("the_descriptor_can_be_polled", function()
    local r, w = gipc.pipe { codec = "raw" }
    equal(native.poll_fd(r:fd "r", native.READ, 0), false)
    equal(native.poll_fd(w:fd "w", native.WRITE, 0), true)
    w:put "x"
    equal(native.poll_fd(r:fd "r", native.READ, 1), true)
    equal(r:get(0), "x")
    equal(native.poll_fd(r:fd "r", native.READ, 0), false)
    r:close()
    w:close()
  end)

  test("others_go_on_while_a_get_waits", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local ticks = 0
    support.on.spawn(function()
      for _ = 1, 10 do
        gipc.sleep(0.002)
        ticks = ticks + 1
      end
      w:put "after ten"
    end)
    equal(r:get(60), "after ten")
    equal(ticks, 10)
    r:close()
    w:close()
  end)

  -- H81: messages that are always there do not keep the others from theirs.
  test("a_busy_pipe_does_not_starve_others", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local ticks, last = 0, false
    support.on.spawn(function()
      while not last do
        gipc.sleep(0)
        ticks = ticks + 1
      end
    end)
    local list = {}
    for i = 1, 500 do
      list[i] = "x"
    end
    for _ = 1, 40 do
      w:put_many(list)
      for _ = 1, 500 do
        r:get()
      end
    end
    last = true
    equal(ticks >= 5, true, "ticks: " .. ticks)
    gipc.sleep(0.01)
    r:close()
    w:close()
  end)

  -- H81: each operation yields for itself.
  test("a_task_that_never_waits_lets_others_run", function()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw" }
    local ticks, last = 0, false
    support.on.spawn(function()
      while not last do
        gipc.sleep(0)
        ticks = ticks + 1
      end
    end)
    local list, ticks_of = {}, { get = 0, put = 0, put_many = 0 }
    local operations = {
      get = function()
        for _ = 1, #list do
          r:get()
        end
      end,
      put = function()
        for _, message in ipairs(list) do
          w:put(message)
        end
      end,
      put_many = function()
        w:put_many(list)
      end,
    }
    local function count_ticks(name)
      local before = ticks
      operations[name]()
      ticks_of[name] = ticks_of[name] + ticks - before
    end
    for i = 1, 150 do
      list[i] = "x"
    end
    for _ = 1, 150 do
      count_ticks "put"
      count_ticks "get"
      count_ticks "put_many"
      count_ticks "get"
    end
    last = true
    for name, count in pairs(ticks_of) do
      equal(count > 0, true, name)
    end
    gipc.sleep(0.01)
    r:close()
    w:close()
  end)

  test("the_fairness_budget_is_counted_in_bytes", function()
    local r, w = gipc.pipe { codec = "raw" }
    -- Handles that are busy at the same time share it, as far as to one of 64 parts.
    local budget, least, shares = 256 * 1024, 256, 64
    local function queue(h, message)
      return native.queue(h, { message }, 1)
    end
    for _, size in ipairs { 0, 1, 64, 65, 1000, native.LENT_FROM - 1 } do
      for _, put in ipairs { native.put, native.put_lent, queue } do
        local message, spent, yields = ("x"):rep(size), 0, 0
        local function step(call, ...)
          local outcome = call(...)
          if outcome == native.YIELD then
            -- What others have spent before is part of the first one.
            local enough = yields == 0 or spent >= budget / shares
            equal(enough and spent < budget + math.max(size, least), true, spent .. " bytes")
            spent, yields = 0, yields + 1
            outcome = call(...)
          end
          equal(outcome, native.DONE)
          spent = spent + math.max(size, least)
        end
        while yields < 3 do
          step(put, w.native, message)
          equal(native.flush_step(w.native), native.DONE)
          step(native.take, r.native)
        end
      end
    end
    r:close()
    w:close()
  end)

  if support.loop == "none" and support.has "cqueues.thread" then
    -- cqueues makes a controller at its first wait outside of any, and keeps it.
    require("cqueues").poll(0)
  end

  test("threads_go_on_while_a_get_waits", function()
    if support.loop ~= "none" or not support.has "cqueues.thread" then
      support.not_here "one thread of cqueues with a get that blocks is all there is to see"
    end
    -- The thread has a Lua state of its own; it answers while this one waits.
    local thread = require "cqueues.thread"
    local before = support.descriptors()
    local function hear_a_thread()
      local cat = assert(gipc.exec_process({ "cat" }, { stdin = "pipe", stdout = "pipe" }))
      local r = gipc.open(cat:stdio(1), nil, { codec = "raw" })
      local started, channel = thread.start(function(channel, fd, path, cpath)
        package.path, package.cpath = path, cpath
        local gipc = require "gipc"
        local h = gipc.open(nil, tonumber(fd), { codec = "raw" })
        for i = 1, 3 do
          gipc.sleep(0.01)
          h:put("from a thread " .. i)
        end
        h:close()
      end, tostring(cat:stdio(0)), package.path, package.cpath)
      assert(started, channel)
      for i = 1, 3 do
        equal(r:get(60), "from a thread " .. i)
      end
      fails(gipc.EOF, "^end of stream$", r:get(60))
      assert(started:join())
      assert(cat:join(60))
      r:close()
      channel:close()
    end
    hear_a_thread()
    local deadline = native.now() + 5
    while support.descriptors() > before and native.now() < deadline do
      collectgarbage() -- the thread may still close its own
    end
  end)
end
