--- A fair lock: one coroutine at a time has it, in the order in which they came.
--
-- A coroutine that waits for the lock is parked in the loop, and woken when it has
-- it; so this works on any loop, and with timeouts.  A holder that ended without
-- releasing it, was dropped, or was interrupted outside of its body, has lost it.
-- @module gipc.fair_lock
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local guard = require "gipc.guard"
local loop = require "gipc.loop"
local native = require "gipc.native"

local FairLock = {}
FairLock.__index = FairLock

-- How often a waiter looks whether the holder still exists (seconds).
local look_again = 0.5

local main = {} -- the main program, if it is not a coroutine (5.1, LuaJIT)

local function me()
  return coroutine.running() or main
end

-- A generator is alive as long as its user, which alone resumes it.
local function lives(who)
  if not who or who == main then
    return who ~= nil
  end
  local user = generator.user_of(who)
  return coroutine.status(who) ~= "dead" and (not user or lives(user))
end

-- Of another coroutine, or (nil) of the one that calls them.
local function getinfo(co, level, what)
  if co then
    return debug.getinfo(co, level, what)
  end
  return debug.getinfo(level + 2, what)
end

local function getlocal(co, level, index)
  if co then
    return debug.getlocal(co, level, index)
  end
  return debug.getlocal(level + 2, index)
end

-- How many calls matches(function, its first argument) of a coroutine are in progress.
local function count_calls(co, matches)
  local count, level = 0, 0
  local info = getinfo(co, level, "f")
  while info do
    local _, object = getlocal(co, level, 1)
    if object == nil then -- its first argument is not in a local yet
      _, object = getlocal(co, level, -1)
    end
    if matches(info.func, object) then
      count = count + 1
    end
    level = level + 1
    info = getinfo(co, level, "f")
  end
  return count
end

-- Whether a coroutine is inside a body of a lock, or just before it in the queue.
-- own_calls: how many calls of exclusively are in progress there that wait for it.
local function is_inside(who, lock, own_calls)
  if who == main and me() ~= main then
    return true -- debug cannot look into it
  end
  return count_calls(who ~= me() and who or nil, function(f, object)
    if f == guard then
      return object == lock or object and rawget(object, "lock") == lock
    end
    return f == FairLock.exclusively and object == lock
  end) > own_calls
end

--- @tparam[opt] function clean_up called at each release of the lock
function FairLock.new(clean_up)
  return setmetatable({
    holder = setmetatable({}, { __mode = "v" }),
    clean_up = clean_up,
    locked = false,
    waiters = {},
  }, FairLock)
end

function FairLock:set_holder(who)
  self.holder[1] = who -- first, as a hook may look at any time
  self.locked = true
end

function FairLock:is_locked_here()
  return self.locked and self.holder[1] == me()
end

--- Whether another coroutine that is alive has the lock.  Releases the lock if its holder
-- is not.  If this coroutine is inside a body of the lock, a hook or a codec calls again,
-- which is misuse.
-- @tparam[opt=0] number own_calls
function FairLock:is_locked_elsewhere(own_calls)
  if not self.locked then
    return false
  end
  local holder = self.holder[1]
  local is_mine = holder == me()
  if lives(holder) and is_inside(holder, self, is_mine and own_calls or 0) then
    if is_mine then
      failure.misuse "reentrant call: this coroutine is inside a get or put of the same handle"
    end
    return true
  end
  self:release()
  return self.locked and not self:is_locked_here()
end

--- Releases the lock; the first waiter that is alive acquires it.
function FairLock:release()
  if self.clean_up then
    self.clean_up()
  end
  self.locked = false
  while self.waiters[1] and not self.locked do
    local waiter = self.waiters[1]
    local who = waiter.who[1]
    if lives(who) then
      self:set_holder(who)
      loop.wake(waiter.parking)
    end
    table.remove(self.waiters, 1)
  end
end

-- A coroutine that waits for a lock.
local Waiter = {}
Waiter.__index = Waiter

function Waiter.new(lock)
  local waiter = setmetatable({
    lock = lock,
    who = setmetatable({ me() }, { __mode = "v" }),
    parking = loop.parking(),
  }, Waiter)
  table.insert(lock.waiters, waiter)
  return waiter
end

-- Waits for the lock: false when the timeout expires first.
function Waiter:wait(deadline)
  local lock = self.lock
  repeat
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return false
    end
    loop.park(self.parking, math.min(left or look_again, look_again))
    if not lock:is_locked_here() then
      lock:is_locked_elsewhere(1) -- releases what a dead holder has
    end
  until lock:is_locked_here()
  self.acquired = true
  return true
end

function Waiter:release()
  loop.unpark(self.parking)
  for i, other in ipairs(self.lock.waiters) do
    if other == self then
      table.remove(self.lock.waiters, i)
      return
    end
  end
  if not self.acquired then
    self.lock:release() -- it was acquired for this waiter, which no longer waits
  end
end

-- Waits for the lock: false when the timeout expires first.
function FairLock:acquire(deadline)
  if not self:is_locked_elsewhere(1) and not self.waiters[1] then
    self:set_holder(me())
    return true
  end
  if not loop.cooperative() then
    return failure.result(native.strerror(native.ELOCKED), native.ELOCKED)
  end
  local waiter = Waiter.new(self)
  return guard(waiter, waiter.wait, waiter, deadline)
end

--- Calls body(...) with the lock, which is released however the body ends.
-- @return its results; or nil, "timeout", code
function FairLock:exclusively(deadline, body, ...)
  if not self:acquire(deadline) then
    return failure.timeout()
  end
  return guard(self, body, ...)
end

return FairLock
