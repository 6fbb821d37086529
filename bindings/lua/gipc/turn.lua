--- A turn: what one coroutine does at a time, in the order in which they came.
--
-- A coroutine that waits for its turn is parked in the loop, and woken by the one
-- before it; so this works on any loop, and with timeouts.  A holder that ended
-- without giving its turn away, was dropped, or was interrupted outside of its
-- body, has lost it.
-- @module gipc.turn
local failure = require "gipc.failure"
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

local function lives(who)
  return who and (who == main or coroutine.status(who) ~= "dead")
end

-- Whether a coroutine is inside a body of a turn, or just before it in the line.
local function is_inside(who, turn)
  if who == main then
    return true
  end
  local level = 0
  local info = debug.getinfo(who, level, "f")
  while info do
    if info.func == guard then
      local _, object = debug.getlocal(who, level, 1)
      if object == turn or rawget(object, "turn") == turn then
        return true
      end
    end
    level = level + 1
    info = debug.getinfo(who, level, "f")
  end
  return false
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
  self.taken = true
  self.holder[1] = who
end

--- Whether another coroutine, which lives, has the turn.
function Turn:busy()
  if not self.taken then
    return false
  end
  local holder = self.holder[1]
  if holder ~= me() and lives(holder) and is_inside(holder, self) then
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
      turn:busy() -- hands on what a dead holder has
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
  if not self:busy() and not self.line[1] then
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
