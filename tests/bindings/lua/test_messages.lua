-- Messages arrive whole, once and in order, also after interruptions.
local gipc = require "gipc"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local function frame(s)
  local n = #s
  return string.char(math.floor(n / 2 ^ 24) % 256, math.floor(n / 2 ^ 16) % 256,
    math.floor(n / 256) % 256, n % 256) .. s
end

local function pattern(size)
  return ("0123456789abcdefghijklmnopqrstuvwxyz\0\255\n"):rep(math.ceil(size / 39)):sub(1, size)
end

return function(test)
  -- H93
  test("a_million_messages_arrive_in_order", function()
    local count = (support.loop == "own" or support.long) and 1000000 or 100000
    local r, w = gipc.pipe { codec = "raw" }
    local child = gipc.start_process(function(w)
      for first = 1, count, 1000 do
        local list = {}
        for i = first, first + 999 do
          list[#list + 1] = tostring(i)
        end
        assert(w:put_many(list))
      end
    end, w)
    for i = 1, count do
      local got = r:get()
      if got ~= tostring(i) then
        equal(got, tostring(i), "message")
      end
    end
    fails(gipc.EOF, "^end of stream$", r:get())
    child:join()
    equal(child:exitcode(), 0)
    r:close()
  end)

  -- H62, H84
  test("messages_of_every_size_arrive_whole", function()
    local sizes = support.streams().sizes -- before there is a child to be left
    local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
    local child = gipc.start_process(support.echo, yours)
    for _, range in ipairs(sizes) do
      for size = range[1], range[2] do
        local message = pattern(size)
        assert(mine:put(message))
        equal(mine:get() == message, true, "a message of " .. size)
      end
    end
    mine:close()
    child:join()
    equal(child:exitcode(), 0)
  end)

  test("the_raw_codec_takes_bytes_only", function()
    local r, w = gipc.pipe { codec = "raw" }
    raises("strings only, not a number", w.put, w, 5)
    raises("strings only, not a nil", w.put, w, nil)
    raises("strings only, not a table", w.put_many, w, { "a", {} })
    assert(w:put "a\0b")
    equal(r:get(), "a\0b")
    equal(select(3, r:get(0)), gipc.ETIMEDOUT) -- nothing of the batch was put
    r:close()
    w:close()
  end)

  -- H66, H68: at every byte of a message.
  test("a_get_that_times_out_loses_nothing", function()
    local h, stream = support.raw_stream()
    local bytes = frame "twenty bytes, or so.." .. frame ""
    for i = 1, #bytes - 4 do
      fails(gipc.ETIMEDOUT, "^timeout$", h:get(i % 8 == 0 and 0.002 or 0))
      stream.write(bytes:sub(i, i))
      if not stream.arrived() then
        error "a byte did not arrive"
      end
    end
    equal(h:get(60), "twenty bytes, or so..")
    fails(gipc.ETIMEDOUT, "^timeout$", h:get(0.01))
    stream.write(bytes:sub(-4))
    equal(h:get(60), "")
    stream.finish()
    fails(gipc.EOF, "^end of stream$", h:get(60))
    h:close()
  end)

  test("a_negative_timeout_waits_indefinitely", function()
    local parent, large = support.pid(), pattern(5000000)
    local function when_the_parent_waits()
      while not support.sleeps(parent) do
        gipc.sleep(0.001)
      end
    end
    for _, timeout in ipairs { -1, -math.huge, math.huge, 1e300 } do
      local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
      local child = gipc.start_process(function(h)
        assert(h:get() == "begin")
        when_the_parent_waits()
        assert(h:put "x")
        for _ = 1, 3 do
          when_the_parent_waits()
          assert(h:get() == large)
        end
        when_the_parent_waits()
      end, yours)
      assert(mine:put("begin", timeout))
      equal(mine:get(timeout), "x")
      assert(mine:put(large, timeout))
      assert(mine:put_many({ large }, timeout))
      local code
      repeat -- withdrawn, until the child has read what the kernel holds
        code = select(3, mine:put(large, 0))
      until code ~= gipc.ETIMEDOUT
      equal(code, gipc.EINPROGRESS)
      assert(mine:flush(timeout))
      assert(child:join(timeout))
      equal(child:exitcode(), 0)
      assert(mine:close(timeout))
    end
  end)

  -- H67
  test("a_put_that_times_out_is_withdrawn", function()
    local r, w = gipc.pipe { codec = "raw" }
    local taken = 0
    while w:put(("%09d"):format(taken + 1), 0) do
      taken = taken + 1
    end
    fails(gipc.ETIMEDOUT, "^timeout$", w:put("withdrawn", 0.02))
    for i = 1, taken do
      equal(tonumber((r:get(60))), i)
    end
    assert(w:put "after it")
    equal(r:get(60), "after it")
    w:close()
    r:close()
  end)

  -- H66: the coroutine itself ends at every byte.
  test("a_get_cancelled_at_any_byte_loses_nothing", function()
    if support.loop ~= "own" then
      support.not_here "only tasks of our own can be cancelled"
    end
    local h, stream = support.raw_stream()
    local bytes = frame "a message of some length" .. frame "and another one"
    local got = {}
    for i = 1, #bytes do
      local task = gipc.spawn(function()
        table.insert(got, (h:get()))
      end)
      gipc.sleep(0)
      if not task:is_done() then
        equal(task:cancel(), true)
        local ok, message = task:join(60)
        equal(ok, nil)
        equal(message, "cancelled")
      end
      stream.write(bytes:sub(i, i))
      equal(stream.arrived(), true)
      equal(#got, i > 28 and 1 or 0)
    end
    equal(h:get(60), "and another one")
    equal(got[1], "a message of some length")
    stream.finish()
    h:close()
  end)

  -- H67: the message of an interrupted put arrives whole, or not at all.
  test("a_put_cancelled_at_any_byte_keeps_the_stream_in_order", function()
    local r, w = gipc.pipe { codec = "raw" }
    local wanted = {}
    local first = 1
    for round = 1, 300 do
      local message = ("%06d"):format(round) .. pattern((round * 7919) % 70000)
      local done, text, code = w:put(message, 0)
      if done or code == gipc.EINPROGRESS then
        table.insert(wanted, message)
      else
        fails(gipc.ETIMEDOUT, "^timeout$", done, text, code)
      end
      gipc.sleep(0) -- what is left of a put leaves in another coroutine
      if round % 3 == 0 then
        local got = r:get(0)
        if got then
          equal(got == wanted[first], true, "message " .. first)
          first = first + 1
        end
      end
    end
    equal(first > 10 and #wanted < 300, true, first .. " of " .. #wanted)
    while first <= #wanted do
      w:flush(0)
      local got, message = r:get(0.5)
      equal(got == wanted[first], true, ("message %d (%s)"):format(first, tostring(message)))
      first = first + 1
    end
    w:close()
    fails(gipc.EOF, "^end of stream$", r:get(60))
    r:close()
  end)

  test("a_put_that_is_broken_off_ends_in_the_background", function()
    support.needs_others()
    if support.loop == "custom" then
      support.not_here "such a loop has no spawn"
    end
    local r, w = gipc.pipe { codec = "raw" }
    local message = pattern(3000000)
    fails(gipc.EINPROGRESS, "queued", w:put(message, 0.01))
    equal(r:get(60) == message, true)
    w:close()
    r:close()
  end)

  -- H65, H83
  test("the_end_of_the_stream_is_told", function()
    local r, w = gipc.pipe()
    w:put { 1 }
    w:close()
    equal(r:get()[1], 1)
    for _ = 1, 100 do
      fails(gipc.EOF, "^end of stream$", r:get(60))
    end
    r:close()
    local r2, w2 = gipc.pipe { codec = "raw" }
    r2:close()
    fails(gipc.EPIPE, "pipe", w2:put "x")
    fails(gipc.EPIPE, "pipe", w2:put_many { "x", "y" })
    w2:close()
  end)

  test("messages_are_iterated_until_the_end", function()
    if support.is_51 and support.loop ~= "none" then
      support.not_here "Lua 5.1 cannot yield inside an iterator"
    end
    local r, w = gipc.pipe()
    local child = gipc.start_process(function(w)
      for i = 1, 10 do
        w:put(i)
      end
    end, w)
    local sum = 0
    for number in r:messages() do
      sum = sum + number
    end
    equal(sum, 55)
    child:join()
    r:close()
  end)

  -- H65
  test("a_stream_cut_inside_a_message_is_told", function()
    for _, message in ipairs(support.streams().cuts) do
      local size = message.size
      local header = string.char(0, 0, math.floor(size / 256), size % 256)
      for _, at in ipairs(message.at) do
        local h, stream = support.raw_stream()
        stream.write((header .. ("\0"):rep(size)):sub(1, at))
        stream.finish()
        fails(gipc.ETRUNCATED, "inside a message", h:get(60))
        fails(gipc.ETRUNCATED, "inside a message", h:get(60))
        h:close()
      end
    end
  end)

  -- H63, H64, H111
  test("a_hostile_peer_is_a_clear_error", function()
    local errors = { protocol = gipc.EPROTOCOL, too_big = gipc.ETOOBIG }
    for _, case in ipairs(support.streams().hostile) do
      local h, stream = support.raw_stream()
      local before = support.memory()
      stream.write(support.from_hex(case.bytes))
      local value, message, code = h:get(60)
      equal(value, nil)
      equal(code, errors[case.error], case.name)
      equal(support.memory() - before < 4096, true, "memory")
      if not support.is_51 or support.loop == "none" then
        raises("gipc: ", h:messages())
      end
      stream.finish()
      h:close()
    end
  end)

  test("a_limit_is_kept", function()
    local r, w = gipc.pipe { codec = "raw" }
    w:set_limit(10)
    fails(gipc.ETOOBIG, "a message of 12 bytes exceeds the limit of 10 bytes", w:put "eleven bytes")
    local sent, message, code, taken = w:put_many { "a", "eleven bytes", "b" }
    fails(gipc.ETOOBIG, "12 bytes exceeds", sent, message, code)
    equal(taken, 1)
    equal(r:get(), "a")
    assert(w:put "ten bytes.")
    r:set_limit(9)
    fails(gipc.ETOOBIG, "the limit of 9 bytes.*nothing more can be got", r:get())
    w:close()
    r:close()
    -- One direction of a duplex handle.
    local a, b = gipc.pipe { duplex = true, codec = "raw" }
    a:set_limit(3)
    assert(b:put "four")
    fails(gipc.ETOOBIG, "puts go on", a:get())
    assert(a:put "yes")
    equal(b:get(), "yes")
    a:close()
    b:close()
  end)

  test("puts_in_a_batch_leave_together", function()
    local r, w = gipc.pipe { codec = "raw" }
    local list = {}
    for i = 1, 1000 do
      list[i] = "message " .. i
    end
    assert(w:put_many(list))
    equal(w:stats().messages_out, 1000)
    equal(w:stats().writes <= 4, true, w:stats().writes .. " system calls")
    for i = 1, 1000 do
      equal(r:get(), list[i])
    end
    assert(w:put_many {})
    w:close()
    r:close()
  end)

  test("a_batch_carries_large_messages_too", function()
    local r, w = gipc.pipe { codec = "raw" }
    local list = { "a", pattern(100000), "b", pattern(3000000), pattern(40000), "c" }
    local child = gipc.start_process(function(w)
      assert(w:put_many(list))
    end, w)
    for i = 1, #list do
      equal(r:get(60) == list[i], true, "message " .. i)
    end
    child:join()
    equal(child:exitcode(), 0)
    r:close()
  end)

  test("a_batch_that_times_out_returns_how_many_were_accepted", function()
    local r, w = gipc.pipe { codec = "raw" }
    local list = {}
    for i = 1, 100000 do
      list[i] = ("%099d"):format(i)
    end
    local sent, message, code, taken = w:put_many(list, 0.02)
    fails(gipc.ETIMEDOUT, "^timeout$", sent, message, code)
    equal(taken > 100 and taken < 100000, true, "taken: " .. taken)
    for i = 1, taken do
      w:flush(0)
      equal(r:get(60), list[i])
    end
    w:close()
    fails(gipc.EOF, "^end of stream$", r:get(60))
    r:close()
  end)

  -- H78
  test("two_that_put_and_then_get_do_not_lock_each_other", function()
    local message = pattern(5000000)
    local function put_and_get(pipe)
      assert(pipe:put(message, 10))
      assert(pipe:get(10) == message)
      assert(pipe:put_many({ message }, 10))
      assert(pipe:get(10) == message)
    end
    local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
    local child = gipc.start_process(put_and_get, yours)
    put_and_get(mine)
    assert(child:join(20))
    equal(child:exitcode(), 0)
    mine:close()
  end)

  -- H78
  test("peers_that_put_several_messages_at_once_do_not_lock", function()
    local seed = tonumber(os.getenv "GIPC_TEST_SEED") or os.time()
    print("GIPC_TEST_SEED=" .. seed)
    math.randomseed(seed)
    local whole = pattern(2000000)
    local function plan()
      local sizes = {}
      for i = 1, math.random(0, 6) do
        sizes[i] = math.random(0, math.random(2) == 1 and 5000 or #whole)
      end
      return sizes
    end
    local function talk(pipe, mine, others)
      for _, size in ipairs(mine) do
        assert(pipe:put(whole:sub(1, size), 20))
      end
      for _, size in ipairs(others) do
        assert(pipe:get(20) == whole:sub(1, size))
      end
    end
    for _ = 1, 4 do
      local first, second = plan(), plan()
      local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
      local child = gipc.start_process(talk, yours, second, first)
      talk(mine, first, second)
      assert(child:join(20))
      equal(child:exitcode(), 0)
      mine:close()
    end
  end)

  -- H78: a child that reads nothing before it has written all
  test("a_put_receives_from_a_peer_that_reads_when_it_has_written", function()
    local message = pattern(3000000)
    local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
    local child = gipc.start_process(function(handle)
      handle:set_read_limit(0)
      assert(handle:put(message, 20))
      assert(handle:get(20) == message)
    end, yours)
    assert(mine:put(message, 20))
    assert(mine:get(20) == message)
    assert(child:join(20))
    equal(child:exitcode(), 0)
    mine:close()
  end)

  -- H78
  test("both_sides_may_put_at_once", function()
    support.needs_others()
    local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
    local message = pattern(2000000)
    local child = gipc.start_process(function(yours)
      gipc.spawn(function()
        assert(yours:put(message))
      end)
      assert(yours:get() == message)
    end, yours)
    local got
    support.on.spawn(function()
      got = mine:get()
    end)
    assert(mine:put(message))
    assert(child:join(10))
    equal(child:exitcode(), 0)
    while not got do
      gipc.sleep(0.001)
    end
    equal(got == message, true)
    mine:close()
  end)
end
