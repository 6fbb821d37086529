--- How coroutines wait for a pool or a keeper, on any loop.
--
-- A loop may watch a descriptor for one coroutine at a time only, and not every loop can
-- start a coroutine.  So one of the coroutines that wait for it, the leader, waits
-- in the loop for its descriptor, and does what there is to do.  The others,
-- the followers, are parked until what they wait for has happened, or there is no leader.
-- @module gipc.policy.waiting
local guard = require "gipc.guard"
local loop = require "gipc.loop"
local native = require "gipc.native"

local Waiting = {}
Waiting.__index = Waiting

-- How often a follower looks whether the leader still exists (seconds).
local look_again = 0.5

local main = {} -- the main program, if it is not a coroutine (5.1, LuaJIT)

local function me()
  return coroutine.running() or main
end

--- @tparam function lead lead(is_over, deadline) waits in the loop, and returns when
-- is_over() is true, or at the deadline
function Waiting.new(lead)
  return setmetatable({
    lead = lead,
    leader = setmetatable({}, { __mode = "v" }),
    followers = {},
  }, Waiting)
end

--- Whether another coroutine that is alive is the leader.
function Waiting:is_led()
  local leader = self.leader[1]
  return leader ~= nil and leader ~= me() and (leader == main or coroutine.status(leader) ~= "dead")
end

--- Wakes those that wait for a signal, which is the list of their parkings.
function Waiting.wake(signal)
  for _, parking in ipairs(signal) do
    loop.wake(parking)
  end
end

local function remove(list, item)
  for i, other in ipairs(list) do
    if other == item then
      table.remove(list, i)
      return
    end
  end
end

-- One wait of a follower.
local Follower = {}
Follower.__index = Follower

function Follower.new(waiting, signal)
  local parking = loop.parking()
  table.insert(waiting.followers, parking)
  table.insert(signal, parking)
  return setmetatable({ waiting = waiting, signal = signal, parking = parking }, Follower)
end

function Follower:park(left)
  loop.park(self.parking, math.min(left or look_again, look_again))
end

function Follower:release()
  loop.unpark(self.parking)
  remove(self.waiting.followers, self.parking)
  remove(self.signal, self.parking)
end

-- Called by the guard of the leader.
function Waiting:release()
  self.leader[1] = nil
  if self.followers[1] then
    loop.wake(self.followers[1])
  end
end

--- Waits until is_over() is true; false: the deadline came first.
-- @tparam table signal wakes those that wait for the same
function Waiting:await(signal, is_over, deadline)
  while not is_over() do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return false
    elseif not self:is_led() then
      self.leader[1] = me()
      guard(self, self.lead, is_over, deadline)
    elseif loop.cooperative() then
      local follower = Follower.new(self, signal)
      guard(follower, follower.park, follower, left)
    else
      self.lead(is_over, deadline) -- the leader cannot run: it is done for it
    end
  end
  return true
end

return Waiting
