--- The loop that this process waits on, whichever that is.
--
-- A loop is a table with
--   wait(fd, direction, timeout): true when fd is ready for "r" or "w"; false
--     when timeout seconds (nil: never) are over
--   sleep(seconds): optional
--   spawn(f): optional, runs f in a coroutine of the loop
--   active(): optional, whether it can wait here; else in any coroutine
-- @module gipc.loop
local failure = require "gipc.failure"
local native = require "gipc.native"

local loop = {}

--- Whether this is a coroutine rather than the main program.
function loop.in_coroutine()
  local running, main = coroutine.running()
  return running ~= nil and not main
end

local directions = { r = native.READ, w = native.WRITE }

-- Waits in the kernel.  Lua's hooks run when a signal comes (Ctrl-C).
local function block(fd, direction, timeout)
  local deadline = timeout and native.now() + timeout
  repeat
    local left = deadline and math.max(0, deadline - native.now()) or -1
    local ready, message = native.poll_fd(fd or -1, directions[direction or "r"], left)
    if message then
      failure.misuse(message)
    end
    if ready then
      return true
    end
  until deadline and native.now() >= deadline
  return false
end

local none = {
  wait = block,
  sleep = function(seconds)
    block(nil, nil, seconds)
  end,
  active = function()
    return false
  end,
}

-- Loops that give only wait sleep on a pipe that nothing comes through.
local function sleep_by(wait)
  return function(seconds)
    local reader, writer = failure.check(native.pipe())
    wait(native.fd(reader, native.READ), "r", seconds)
    native.close(reader)
    native.close(writer)
  end
end

local current = none
local name = "none"

-- Messages that are there already are taken without any wait.  After so many
-- of them the other coroutines get their turn.
local budget = 1000
local left = budget

--- Waits on the loop in use; blocks where that cannot wait.
function loop.wait(fd, direction, timeout)
  left = budget
  if current.active() then
    return current.wait(fd, direction, timeout)
  end
  return block(fd, direction, timeout)
end

--- Sleeps on the loop in use.
function loop.sleep(seconds)
  left = budget
  if current.active() then
    return current.sleep(seconds)
  end
  return none.sleep(seconds)
end

--- To be called for each message that needed no wait.
function loop.spend()
  left = left - 1
  if left <= 0 then
    left = budget
    if current.active() then
      current.sleep(0)
    end
  end
end

--- Whether others can go on while this coroutine waits.
function loop.cooperative()
  return current.active()
end

--- Runs f beside everything else, if the loop in use can do that.
function loop.spawn(f)
  if current.spawn and current.active() then
    current.spawn(f)
  end
end

--- What gipc.use was last given.
function loop.name()
  return name
end

local shipped = { luv = true, cqueues = true, copas = true }
local inherited = {}

--- In a child: its own scheduler, and nothing of its parent's loops.
function loop.start_afresh()
  -- luv has one loop for a Lua state, which the child shares with its parent.
  inherited.luv = package.loaded.luv ~= nil
  -- copas has one set of queues for a module: the next require makes another.
  package.loaded.copas = nil
  require("gipc.scheduler").reset()
  loop.use "own"
end

--- Chooses the loop of this process.
-- @param what "own", "none", "luv", "cqueues", "copas" or a table with wait
function loop.use(what)
  local chosen
  if inherited[what] then
    failure.misuse(("a child cannot run the loop of %s that its parent runs"):format(what))
  end
  if what == "none" then
    chosen = none
  elseif what == "own" then
    chosen = require "gipc.scheduler"
  elseif shipped[what] then
    chosen = require("gipc.loop." .. what).new()
  elseif type(what) == "table" and type(what.wait) == "function" then
    chosen = what
  else
    failure.misuse 'use "own", "none", "luv", "cqueues", "copas", or { wait = f }'
  end
  current = {
    wait = chosen.wait,
    sleep = chosen.sleep or sleep_by(chosen.wait),
    spawn = chosen.spawn,
    active = chosen.active or loop.in_coroutine,
  }
  name = type(what) == "string" and what or "custom"
end

return loop
