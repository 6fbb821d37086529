--- A turn: what one coroutine does at a time, in the order in which they came.
--
-- A coroutine that waits for its turn waits on a pipe of its own, which the one
-- before it closes; so this works on any loop, and with timeouts.  A holder
-- that ended without giving its turn away, or was dropped, has lost it.
-- @module gipc.turn
local failure = require "gipc.failure"
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

--- @tparam[opt] function clean_up called whenever a turn ends, however it does
function Turn.new(clean_up)
  return setmetatable({
    holder = setmetatable({}, { __mode = "v" }),
    clean_up = clean_up,
    taken = false,
    line = {},
  }, Turn)
end

--- Whether a living coroutine has the turn.
function Turn:busy()
  if not self.taken then
    return false
  end
  local holder = self.holder[1]
  if holder and holder ~= me() and (holder == main or coroutine.status(holder) ~= "dead") then
    return true
  end
  self:release()
  return self.taken and self.holder[1] ~= me()
end

-- Ends the turn, and gives it to the next in line that still lives.
function Turn:release()
  if self.clean_up then
    self.clean_up()
  end
  self.taken = false
  while self.line[1] and not self.taken do
    local place = table.remove(self.line, 1)
    local who = place.who[1]
    if who and (who == main or coroutine.status(who) ~= "dead") then
      self:give_to(who)
      failure.check(native.close(place.writer))
    end
  end
end

function Turn:give_to(holder)
  self.taken = true
  self.holder[1] = holder
end

function Turn:is_mine()
  return self.taken and self.holder[1] == me()
end

-- Calls body(...) and then object:release(), however the body ends.
local function finish(object, ok, ...)
  object:release()
  if not ok then
    error((...), 0)
  end
  return ...
end

local guarded
if _VERSION >= "Lua 5.4" then
  -- In a string, as other versions do not know the syntax.  It also sees a
  -- coroutine that is closed while it waits.
  guarded = load [[
    local object, body = ...
    local closed <close> = setmetatable({}, { __close = function() object:release() end })
    return body(select(3, ...))]]
elseif _VERSION == "Lua 5.1" and not jit then
  -- No pcall can be yielded across, so that none could go on after an error:
  -- the coroutine is dead then, which the next one sees.
  function guarded(object, body, ...)
    return finish(object, true, body(...))
  end
else
  function guarded(object, body, ...)
    return finish(object, pcall(body, ...))
  end
end

-- A place in the line before a turn.
local Place = {}
Place.__index = Place

function Place.new(turn)
  local reader, writer = failure.check(native.pipe())
  local place = {
    turn = turn,
    who = setmetatable({ me() }, { __mode = "v" }),
    reader = reader,
    writer = writer,
  }
  table.insert(turn.line, place)
  return setmetatable(place, Place)
end

-- Waits until the turn has come, or its time is over.
function Place:wait(deadline)
  local turn = self.turn
  local fd = native.fd(self.reader, native.READ)
  repeat
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return false
    end
    loop.wait(fd, "r", math.min(left or look_again, look_again))
    if not turn:is_mine() then
      turn:busy() -- hands on what a dead holder has
    end
  until turn:is_mine()
  self.arrived = true
  return true
end

function Place:release()
  failure.check(native.close(self.reader))
  if self.arrived then
    return
  end
  for i, other in ipairs(self.turn.line) do
    if other == self then
      table.remove(self.turn.line, i)
      failure.check(native.close(self.writer))
      return
    end
  end
  self.turn:release() -- it came, but to one that had just gone
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
  return guarded(place, place.wait, place, deadline)
end

--- Calls body(...) as soon as it is this coroutine's turn.
-- @return its results; or nil, "timeout", code
function Turn:take(deadline, body, ...)
  if not self:acquire(deadline) then
    return failure.timeout()
  end
  return guarded(self, body, ...)
end

return Turn
