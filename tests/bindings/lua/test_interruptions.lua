-- Interruptions: errors that a hook raises wherever the program is, as Ctrl-C does.
local gipc = require "gipc"
local support = require "support"
local equal, raises = support.equal, support.raises

local strike = {} -- the error of the hook

-- Calls f(...) and raises at its nth instruction: whether it was reached.
local function interrupted(n, f, ...)
  local me = coroutine.running()
  local count = 0
  local function hook()
    if coroutine.running() == me then -- the hook of LuaJIT is that of all
      count = count + 1
      if count == n then
        debug.sethook()
        error(strike, 0)
      end
    end
  end
  local ok, failure = pcall(function(...)
    debug.sethook(hook, "", 1)
    f(...)
    debug.sethook()
  end, ...)
  if not ok and failure ~= strike then
    error(failure, 0)
  end
  return not ok
end

local probes = 0

-- A new message goes through, after all that was put before.
local function round_trip(a, b)
  probes = probes + 1
  local probe = "probe " .. probes
  local accepted, got
  for _ = 1, 5000 do
    if not accepted then
      local sent, message, code = a:put(probe, 0.001)
      accepted = sent or code == gipc.EINPROGRESS
      equal(accepted or code == gipc.ETIMEDOUT, true, tostring(message))
    else
      a:flush(0.001)
    end
    repeat
      got = b:get(0)
      if got == probe then
        return
      end
    until not got
  end
  error "the handle is not usable"
end

local operations = {
  put = function(a)
    a:put("small", 0)
  end,
  put_large = function(a)
    a:put(("x"):rep(400000), 0.001)
  end,
  put_many = function(a)
    a:put_many({ "one", "two", ("x"):rep(40000) }, 0.001)
  end,
  get = function(_, b)
    b:get(0)
    b:get(0.001)
  end,
  flush = function(a)
    a:flush(0.001)
  end,
}

return function(test)
  -- H68, H69
  test("a_handle_is_usable_after_an_exception_at_any_instruction", function()
    if support.is_51 and support.loop ~= "none" then
      support.not_here "Lua 5.1 cannot yield across pcall"
    end
    if support.loop == "copas" or support.loop == "luv" then
      support.not_here "this loop does not recover from an error in the middle of its own functions"
    end
    if jit then
      jit.off() -- compiled code calls no hooks
    end
    for name, operation in pairs(operations) do
      local a, b = gipc.pipe { duplex = true, codec = "raw" }
      local n = 1
      while interrupted(n, operation, a, b) do
        if support.on.spawn and n % 8 == 0 then -- and in another coroutine
          local done = false
          support.on.spawn(function()
            round_trip(a, b)
            done = true
          end)
          while not done do
            gipc.sleep(0.001)
          end
        end
        round_trip(a, b)
        n = n + (support.long and 1 or support.loop == "own" and 3 or 13)
      end
      equal(n > 20, true, name)
      round_trip(a, b) -- and what is left of the last one is read
      a:close()
      b:close()
    end
    if jit then
      jit.on()
    end
  end)

  test("a_close_or_join_that_was_interrupted_can_be_repeated", function()
    if support.is_51 and support.loop ~= "none" then
      support.not_here "Lua 5.1 cannot yield across pcall"
    end
    if jit then
      jit.off()
    end
    local child = gipc.start_process(function()
      gipc.sleep(60)
    end)
    local n, struck = 1, true
    while struck do
      local a, b = gipc.pipe { duplex = true, codec = "raw" }
      struck = interrupted(n, a.close, a)
      struck = interrupted(n, child.join, child, 0.001) or struck
      if not a:closed() then
        assert(a:close(60))
      end
      b:close()
      n = n + 3
    end
    equal(child:is_alive(), true)
    child:kill()
    assert(child:join(10))
    child:close()
    if jit then
      jit.on()
    end
  end)

  test("a_put_inside_a_put_of_the_same_thread_is_refused", function()
    if support.is_51 and support.loop ~= "none" then
      support.not_here "Lua 5.1 cannot yield across pcall"
    end
    if jit then
      jit.off()
    end
    local r, w = gipc.pipe { codec = "raw" }
    local inside, flushed
    debug.sethook(function() -- as a handler of a signal
      if w.putting.locked and not inside then
        inside = { pcall(w.put, w, "inside", 1) }
        flushed = { pcall(w.flush, w, 1) }
      end
    end, "", 1)
    local large = ("x"):rep(1000000)
    local _, _, code = w:put(large, 0.01)
    debug.sethook()
    equal(code, gipc.EINPROGRESS)
    equal(inside[1], false)
    equal(tostring(inside[2]):find "reentrant call" ~= nil, true, tostring(inside[2]))
    equal(flushed[1], false)
    local got
    repeat
      w:flush(0.001)
      got = r:get(0.001)
    until got
    equal(got == large, true)
    r:close()
    w:close()
    if jit then
      jit.on()
    end
  end)

  test("a_block_left_by_an_exception_does_not_wait_for_the_peer", function()
    if _VERSION < "Lua 5.4" then
      support.not_here "only Lua 5.4 has to-be-closed variables"
    end
    local leave = assert(load [[
      local w, message = ...
      local w <close> = w
      w:put(message, 0.001)
      error "on the way"]])
    local r, w = gipc.pipe { codec = "raw" }
    raises("on the way", leave, w, ("x"):rep(3000000))
    equal(w:closed(), true)
    r:close()
  end)

  test("a_child_that_lives_on_keeps_its_runtimes_descriptors", function()
    local r, w = gipc.pipe()
    local child = gipc.start_process({ keep_fds = {} }, function(w)
      for i = 1, 20 do
        collectgarbage()
        gipc.sleep(0.001)
        local file = assert(io.open "/dev/null")
        file:close()
        local inner = gipc.start_process(function() end)
        assert(inner:join(60))
        assert(w:put(i))
      end
    end, w)
    for i = 1, 20 do
      equal(r:get(10), i)
    end
    assert(child:join(10))
    equal(child:exitcode(), 0)
    r:close()
  end)

  -- The number of a descriptor that the child has not kept may be another file there.
  test("what_a_child_collects_closes_none_of_its_own_files", function()
    local native = require "gipc.native"
    local set = assert(native.epoll_new())
    local link = "/proc/self/fd/" .. native.fd_of(set)
    local child = gipc.start_process({ keep_fds = {} }, function()
      local files = {}
      for i = 1, 100 do
        files[i] = assert(io.open "/dev/null")
      end
      assert(io.open(link), "the number is not in use again"):close()
      set = nil
      collectgarbage()
      collectgarbage()
      assert(io.open(link), "a file was closed"):close()
    end)
    assert(child:join(60))
    equal(child:exitcode(), 0)
    native.close_descriptor(set)
  end)
end
