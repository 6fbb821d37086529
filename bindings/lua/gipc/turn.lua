--- A turn: what one coroutine does at a time, in the order in which they came.
--
-- A coroutine that waits for its turn is parked in the loop, and woken by the one
-- before it; so this works on any loop, and with timeouts.  A holder that ended
-- without giving its turn away, was dropped, or was interrupted outside of its
-- body, has lost it.
-- @module gipc.turn
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local guard = require "gipc.guard"
local loop = require "gipc.loop"
local native = require "gipc.native"

local Turn = {}
Turn.__index = Turn

-- How often one that waits looks whether the holder still exists (seconds).
local look_again = 0.5

local main = {} -- the main program where that is no coroutine (5.1, LuaJIT)

local function me()
  return coroutine.running() or main
end

-- A generator does not outlive its user, which alone resumes it.
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

-- Whether a coroutine is inside a body of a turn, or just before it in the line.
-- own_calls: how many calls of take are in progress there that have not got it.
local function is_inside(who, turn, own_calls)
  if who == main and me() ~= main then
    return true -- debug cannot look into it
  end
  return count_calls(who ~= me() and who or nil, function(f, object)
    if f == guard then
      return object == turn or object and rawget(object, "turn") == turn
    end
    return f == Turn.take and object == turn
  end) > own_calls
end

--- @tparam[opt] function clean_up called whenever a turn ends, however it does
function Turn.new(clean_up)
  return setmetatable({
    holder = setmetatable({}, { __mode = "v" }),
    clean_up = clean_up,
    taken = false,
    line = {},
  }, Turn)
end

function Turn:give_to(who)
  self.holder[1] = who -- first, as a hook may look at any time
  self.taken = true
end

--- Whether another coroutine, which lives, has the turn.  If this one is inside a
-- body of it, a hook or a codec calls again: misuse.
-- @tparam[opt=0] number own_calls
function Turn:busy(own_calls)
  if not self.taken then
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
  return self.taken and self.holder[1] ~= me()
end

--- Ends the turn, and gives it to the next in line that still lives.
function Turn:release()
  if self.clean_up then
    self.clean_up()
  end
  self.taken = false
  while self.line[1] and not self.taken do
    local place = self.line[1]
    local who = place.who[1]
    if lives(who) then
      self:give_to(who)
      loop.wake(place.parking)
    end
    table.remove(self.line, 1)
  end
end

function Turn:is_mine()
  return self.taken and self.holder[1] == me()
end

-- A place in the line before a turn.
local Place = {}
Place.__index = Place

function Place.new(turn)
  local place = setmetatable({
    turn = turn,
    who = setmetatable({ me() }, { __mode = "v" }),
    parking = loop.parking(),
  }, Place)
  table.insert(turn.line, place)
  return place
end

-- Waits until the turn has come, or its time is over.
function Place:wait(deadline)
  local turn = self.turn
  repeat
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return false
    end
    loop.park(self.parking, math.min(left or look_again, look_again))
    if not turn:is_mine() then
      turn:busy(1) -- hands on what a dead holder has
    end
  until turn:is_mine()
  self.arrived = true
  return true
end

function Place:release()
  loop.unpark(self.parking)
  for i, other in ipairs(self.turn.line) do
    if other == self then
      table.remove(self.turn.line, i)
      return
    end
  end
  if not self.arrived then
    self.turn:release() -- it came, but to one that had just gone
  end
end

-- Waits for the turn; false when the time is over first.
function Turn:acquire(deadline)
  if not self:busy(1) and not self.line[1] then
    self:give_to(me())
    return true
  end
  if not loop.cooperative() then
    return failure.result(native.strerror(native.ELOCKED), native.ELOCKED)
  end
  local place = Place.new(self)
  return guard(place, place.wait, place, deadline)
end

--- Calls body(...) as soon as it is this coroutine's turn.
-- @return its results; or nil, "timeout", code
function Turn:take(deadline, body, ...)
  if not self:acquire(deadline) then
    return failure.timeout()
  end
  return guard(self, body, ...)
end

return Turn
