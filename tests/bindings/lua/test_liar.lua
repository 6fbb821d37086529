-- Peers that lie: a get and a put end in a message or an error code, and memory stays
-- bounded.
local gipc = require "gipc"
local support = require "support"
local equal = support.equal

local ends = {
  [gipc.EOF] = true,
  [gipc.ETRUNCATED] = true,
  [gipc.EPROTOCOL] = true,
  [gipc.ETOOBIG] = true,
  [gipc.EPIPE] = true,
  [gipc.ECONNRESET] = true,
}
local still_open = { [gipc.ETIMEDOUT] = true, [gipc.EINPROGRESS] = true }
local block = ("x"):rep(3000)

local function meet(kind, seed)
  local program = assert(os.getenv "GIPC_TEST_PROGRAMS", "GIPC_TEST_PROGRAMS") .. "/liar"
  local mine, its = gipc.pipe {
    duplex = true,
    codec = "raw",
    transport = kind == "ring" and "ring" or "auto",
  }
  local child = assert(gipc.exec_process({ program, kind, tostring(seed) }, { handles = { peer = its } }))
  if kind == "ring" then
    for _ = 1, 40 do
      assert(mine:put "hello")
      equal(mine:get(60), "hello")
    end
    equal(mine:stats().transport_in, "ring")
    equal(mine:stats().transport_out, "ring")
    assert(mine:put "lie")
  end
  return mine, child
end

local function use_until_its_end(mine, child)
  for _ = 1, 10 do
    local message, _, code = mine:get(0.001)
    assert(message or ends[code] or still_open[code], code)
    local put, _, failed = mine:put(block, 0.001)
    assert(put or ends[failed] or still_open[failed], failed)
  end
  child:kill()
  child:join()
  child:close()
  for _, call in ipairs { "get", "put" } do
    local value, message, code
    repeat
      if call == "get" then
        value, message, code = mine:get(60)
      else
        value, message, code = mine:put(block, 60)
      end
    until not value
    assert(ends[code], message)
  end
  mine:abort()
end

return function(test)
  -- H63, H64, H79, H88, H111
  support.once(test)("a_peer_that_lies_ends_its_stream_and_no_more", function()
    if os.getenv "GIPC_TEST_OS" == "posix" then
      support.not_here "rings are on Linux only"
    end
    local before = support.memory()
    for _, kind in ipairs { "garbage", "lengths", "stops", "half", "ring" } do
      for seed = 1, support.long and 100 or 3 do
        use_until_its_end(meet(kind, seed))
      end
    end
    equal(support.memory() < before + 24 * 1024, true, "memory")
  end)
end
