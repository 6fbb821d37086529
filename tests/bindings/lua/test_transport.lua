-- The transports of handles: the socket, and a ring in shared memory.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local portable = os.getenv "GIPC_TEST_OS" == "posix"
local ring = portable and "plain" or "ring"
local ENOUGH = 40 -- messages after which two handles use a ring, and some more

local function needs_rings()
  if portable then
    support.not_here "the portable half has no rings"
  end
end

local function in_use(handle, wanted_in, wanted_out)
  local stats = handle:stats()
  equal(stats.transport_in, wanted_in, "transport_in")
  equal(stats.transport_out, wanted_out, "transport_out")
end

local function exchange(putting, getting)
  for i = 1, ENOUGH do
    putting:put(tostring(i))
    equal(getting:get(10), tostring(i))
  end
end

-- Where the child has chosen, too.
local function check_echo(mine, theirs, used)
  local child = gipc.start_process(support.echo, theirs)
  exchange(mine, mine)
  in_use(mine, used, used)
  mine:close()
  child:join()
  equal(child:exitcode(), 0)
end

return function(test)
  test("a_pipe_changes_to_a_ring_unless_that_is_refused", function()
    for transport, used in pairs { auto = ring, plain = "plain" } do
      local mine, theirs = gipc.pipe { duplex = true, codec = "raw", transport = transport }
      check_echo(mine, theirs, used)
    end
    -- One side is enough to refuse it.
    local mine, theirs = gipc.pipe { duplex = true, codec = "raw", transport = "auto" }
    equal(theirs:set_transport "plain", true)
    check_echo(mine, theirs, "plain")
  end)

  test("a_program_chooses_the_transport_of_what_it_inherits", function()
    for transport, used in pairs { auto = ring, plain = "plain" } do
      local mine, theirs = gipc.pipe { duplex = true, codec = "raw", transport = "auto" }
      local child = support.program(([[
        local gipc = require "gipc"
        local h = gipc.inherit("echo", { codec = "raw", transport = %q })
        local message = h:get()
        while message do
          h:put(message)
          message = h:get()
        end
        local stats, used = h:stats(), %q
        os.exit(stats.transport_in == used and stats.transport_out == used and 0 or 1)
      ]]):format(transport, used), { handles = { echo = theirs } })
      exchange(mine, mine)
      in_use(mine, used, used)
      mine:close()
      child:join()
      equal(child:exitcode(), 0)
    end
  end)

  test("a_ring_is_left_and_used_again", function()
    needs_rings()
    local r, w = gipc.pipe { codec = "raw", transport = "ring" }
    for _, transport in ipairs { "ring", "plain", "ring" } do
      if w:stats().transport_out ~= transport then
        equal(w:set_transport(transport), true)
      end
      for _ = 1, 3 do
        w:put "message"
        equal(r:get(10), "message")
      end
      in_use(w, "plain", transport)
      in_use(r, transport, "plain")
    end
    -- The reader needs the writer for that.
    w:put "unread"
    fails(gipc.EBUSY, "still uses a ring", r:set_transport "plain")
    equal(r:get(10), "unread")
    r:close()
    w:close()
  end)

  test("a_get_on_a_ring_blocks_only_its_caller", function()
    support.needs_others()
    local a, b = gipc.pipe { duplex = true, codec = "raw", transport = "auto" }
    exchange(a, b)
    exchange(b, a)
    in_use(a, ring, ring)
    in_use(b, ring, ring)
    local got, other
    support.on.spawn(function()
      got = a:get(30)
    end)
    support.on.spawn(function()
      other = b:get(30)
    end)
    support.settle()
    a:put "for the other direction"
    support.wait_until(function()
      return other
    end)
    equal(other, "for the other direction")
    equal(got, nil)
    local asleep, rung = a:stats().bells_in, b:stats().bells_out
    b:put "for the one that waits"
    support.wait_until(function()
      return got
    end)
    equal(got, "for the one that waits")
    if ring == "ring" then
      equal(asleep > 0, true, "bells_in")
      equal(b:stats().bells_out, rung + 1, "bells_out")
    end
    a:close()
    b:close()
  end)

  -- Its put finds the reader awake, so the descriptor is not readable.
  test("a_message_that_is_in_a_ring_is_waited_for", function()
    local r, w = gipc.pipe { codec = "raw", transport = "auto" }
    exchange(w, r)
    equal(r:dirty(), false)
    for _, size in ipairs { 5, 5000, 100000 } do
      w:put(("x"):rep(size))
      equal(gipc.wait({ r }, 30)[1], r)
      equal(r:dirty(), true, size)
      equal(#r:get(10), size)
    end
    fails(gipc.ETIMEDOUT, "timeout", gipc.wait({ r }, 0))
    equal(r:dirty(), false)
    r:close()
    w:close()
  end)

  test("a_put_waits_for_room_in_a_ring", function()
    needs_rings()
    support.needs_others()
    local r, w = gipc.pipe { codec = "raw", transport = "ring" }
    exchange(w, r)
    in_use(w, "plain", "ring")
    local many, done = {}, nil
    for i = 1, 200 do
      many[i] = ("x"):rep(10000)
    end
    support.on.spawn(function()
      done = w:put_many(many)
    end)
    support.wait_until(function()
      return w:stats().stalls_out > 0
    end)
    equal(done, nil)
    for _ = 1, 200 do
      equal(#r:get(10), 10000)
    end
    support.wait_until(function()
      return done
    end)
    equal(done, true)
    in_use(w, "plain", "ring")
    r:close()
    w:close()
  end)

  test("an_unknown_or_impossible_transport_is_refused_by_name", function()
    local r, w = gipc.pipe { codec = "raw" }
    local wrong = 'transport is "auto", "plain" or "ring", not '
    local unknown = { codec = "raw", transport = "fast" }
    for _, make in ipairs {
      gipc.pipe, gipc.stdio,
      function(options) return gipc.open(0, nil, options) end,
      function(options) return gipc.inherit("none", options) end,
      function(options) return r:set_transport(options.transport) end,
    } do
      raises(wrong .. '"fast"', make, unknown)
      raises(wrong .. "a boolean", make, { codec = "raw", transport = false })
    end
    raises(wrong .. "nil", r.set_transport, r)
    r:close()
    w:close()
    raises("closed", r.set_transport, r, "auto")
    -- A pipe of the kernel has no ring; the descriptor is still the caller's.
    local cat = assert(gipc.exec_process({ "cat" }, { stdin = "pipe", stdout = "null" }))
    local fd = assert(cat:stdio(0))
    fails(gipc.EOPNOTSUPP, 'these descriptors .*"ring".*AF_UNIX',
      gipc.open(nil, fd, { codec = "raw", transport = "ring" }))
    equal(native.poll_fd(fd, native.WRITE, 0), true, "the descriptor is open")
    local handle = assert(gipc.open(nil, fd, { codec = "raw", transport = "plain" }))
    fails(gipc.EOPNOTSUPP, 'the handle .*"ring"', handle:set_transport "ring")
    handle:close()
    assert(cat:join(10))
    if portable then
      fails(gipc.EOPNOTSUPP, 'a pipe .*"ring"', gipc.pipe { codec = "raw", transport = "ring" })
    end
  end)
end
