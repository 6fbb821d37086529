-- Messages with descriptors.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails = support.equal, support.fails

local function raw(transport)
  if os.getenv "GIPC_TEST_OS" == "posix" then
    support.not_here "messages have descriptors on Linux only"
  end
  return gipc.pipe { codec = "raw", transport = transport }
end

-- In a child: what comes with a message is a pipe, to which the message is put.
local function answer(h)
  for message in h:messages() do
    local fds = h:take_fds()
    assert(#fds == 1 and #h:take_fds() == 0)
    local to = assert(gipc.open(nil, fds[1], { codec = "raw" }))
    assert(to:put(message))
    to:close()
  end
end

return function(test)
  test("descriptors_come_with_their_message", function()
    local r, w = raw()
    for i = 0, 19 do
      local a, b = gipc.pipe { codec = "raw" }
      local fds = {}
      for n = 1, i % 3 do
        fds[n] = b:getfd()
      end
      equal(w:put(tostring(i), 10, fds), true)
      b:close()
      equal(r:get(10), tostring(i))
      local taken = r:take_fds()
      equal(#taken, i % 3)
      equal(#r:take_fds(), 0)
      for _, fd in ipairs(taken) do
        local copy = gipc.open(nil, fd, { codec = "raw" })
        equal(copy:put "x", true)
        copy:close()
        equal(a:get(10), "x")
      end
      fails(gipc.EOF, ".", a:get(10)) -- no copy is left
      a:close()
    end
  end)

  -- H89: a third of them comes with one, and every other of these is taken.
  support.once(test)("descriptors_stay_flat_over_10000_messages", function()
    collectgarbage() -- of earlier tests
    collectgarbage()
    for _, transport in ipairs { "ring", "plain" } do
      local r, w = raw(transport)
      local other, given = gipc.pipe { codec = "raw" }
      local least, most = math.huge, 0
      for i = 1, 10000 do
        assert(w:put("x", 10, i % 3 == 0 and { given:getfd() } or {}))
        equal(r:get(10), "x")
        if i % 6 == 0 then
          gipc.open(nil, r:take_fds()[1]):close()
        end
        if i % 99 == 1 and i > 100 then -- without one
          local count = support.descriptors()
          least, most = math.min(least, count), math.max(most, count)
        end
      end
      local of_ring = transport == "ring" and 1 or 0 -- its memory, while it is in use
      equal(most - least <= of_ring, true)
      for _, handle in ipairs { r, w, other, given } do
        handle:close()
      end
    end
  end)

  test("a_child_gets_descriptors", function()
    local r, w = raw()
    local child = gipc.start_process(answer, r)
    for i = 1, 10 do
      local a, b = gipc.pipe { codec = "raw" }
      equal(w:put(tostring(i), 10, { b:getfd() }), true)
      b:close()
      equal(a:get(10), tostring(i))
      fails(gipc.EOF, ".", a:get(10))
      a:close()
    end
    w:close()
    child:join()
    equal(child:exitcode(), 0)
  end)

  test("those_not_taken_are_closed_with_the_next_get", function()
    local r, w = raw()
    local a, b = gipc.pipe { codec = "raw" }
    w:put("a", 10, { b:getfd() })
    w:put "b"
    b:close()
    equal(r:get(10), "a")
    fails(gipc.ETIMEDOUT, ".", a:get(0))
    equal(r:get(10), "b")
    fails(gipc.EOF, ".", a:get(10))
    a:close()
  end)

  test("wrong_descriptors_are_refused_and_nothing_is_sent", function()
    local r, w = raw()
    fails(native.EBADF, ".", w:put("a", 10, { 999 }))
    support.raises("at most 253", w.put, w, "a", 10, (function()
      local many = {}
      for i = 1, 254 do
        many[i] = 0
      end
      return many
    end)())
    support.raises("a list of descriptors", w.put, w, "a", 10, { "file" })
    equal(w:put "b", true)
    equal(r:get(10), "b")
  end)

  test("a_child_answers_on_handles_that_it_gets", function()
    local requests, its = raw()
    requests:close()
    its:close()
    requests, its = gipc.pipe { codec = "raw", duplex = true }
    local child = gipc.start_process(function(h)
      for message in h:messages() do
        local handles = h:take_handles { codec = "raw" }
        assert(#handles == 1 and #h:take_handles() == 0)
        assert(handles[1]:put(message))
        handles[1]:close()
      end
      h:put "done"
    end, its)
    for i = 1, 20 do
      local reader, reply = gipc.pipe { codec = "raw" }
      equal(requests:put(tostring(i), 10, { reply }), true)
      equal(reply:closed(), true)
      equal(pcall(reply.put, reply, "x"), false)
      equal(reader:get(10), tostring(i))
      fails(gipc.EOF, ".", reader:get(10))
      reader:close()
    end
    requests:shutdown()
    equal(requests:get(10), "done")
    equal(child:join(10), true)
    equal(child:exitcode(), 0)
    requests:close()
  end)

  test("a_refused_put_leaves_the_handles_as_they_were", function()
    local r, w = raw()
    local a, b = gipc.pipe { codec = "raw" }
    b:put "1"
    b:put "2"
    equal(a:get(10), "1")
    fails(gipc.EBUSY, "queued", w:put("no", 10, { a })) -- the other one is read ahead
    equal(pcall(w.put, w, "no", 10, { r }), false)
    equal(pcall(w.put, w, "no", 10, { b, b, b, b, b, b, b, b }), false)
    equal(a:get(10), "2")
    equal(w:put("yes", 10, { 1, a }), true)
    equal(r:get(10), "yes")
    local handles, fds = r:take_handles { codec = "raw" }, r:take_fds()
    equal(#handles, 1)
    equal(#fds, 1)
    assert(gipc.open(nil, fds[1])):close()
    b:put "3"
    equal(handles[1]:get(10), "3")
    for _, h in ipairs { r, w, b, handles[1] } do
      h:close()
    end
  end)
end
