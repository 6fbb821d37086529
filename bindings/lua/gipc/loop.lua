--- The loop that this process waits on, whichever that is.
--
-- A loop is a table with
--   wait(fd, direction, timeout): true when fd is ready for "r" or "w"; false
--     when timeout seconds (nil: never) are over
--   sleep(seconds): optional
--   spawn(f): optional, runs f in a coroutine of the loop
--   active(): optional, whether it can wait here; else in any coroutine
--   parking(): optional, an object with wait(self, timeout) and wake(self): a wait
--     without a descriptor; and close(self), which ends it early
--   forget(fd): optional, called before a descriptor is closed
--   needs_open: optional, a descriptor that is waited for cannot be closed
--   waits_in_main: optional, it also waits where nothing can yield
-- @module gipc.loop
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local native = require "gipc.native"

local jit = rawget(_G, "jit")
local is_51 = _VERSION == "Lua 5.1" and not jit

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
    local reader, writer = failure.check(failure.collecting(native.pipe))
    wait(native.fd(reader, native.READ), "r", seconds)
    native.close(reader)
    native.close(writer)
  end
end

-- For loops that have no parking of their own: a pipe, which wake closes.
local Pipe = {}
Pipe.__index = Pipe

local function new_pipe()
  local reader, writer = failure.check(failure.collecting(native.pipe))
  return setmetatable({ reader = reader, writer = writer }, Pipe)
end

function Pipe:wake()
  if self.writer then
    native.close(self.writer)
    self.writer = nil
  end
end

function Pipe:close()
  self:wake()
  native.close(self.reader)
end

local current = none
local name = "none"

function Pipe:wait(timeout)
  return current.wait(native.fd(self.reader, native.READ), "r", timeout)
end

-- ---- Whether a wait is possible here ---------------------------------------------

-- Lua 5.1 and 5.2 cannot say it: a C function among the callers that is not known to
-- let yields through is in the way.  5.1 lets none through, nor the iterator of
-- a loop, which has a name.  Metamethods of 5.1 are not recognized.
local lets_through = is_51 and {} or { [pcall] = true, [xpcall] = true, [dofile] = true }

local function no_c_among_callers()
  local level = 2
  local info = debug.getinfo(level, "Sfn")
  while info do
    local is_iterator = is_51 and info.name == "(for generator)"
    if is_iterator or info.what == "C" and not lets_through[info.func] then
      return false
    end
    level = level + 1
    info = debug.getinfo(level, "Sfn")
  end
  return true
end

local isyieldable = coroutine.isyieldable or no_c_among_callers

--- Raises an error where the loop would have to yield and cannot, before anything
-- is registered with it.
function loop.check_yieldable()
  if not isyieldable() then
    failure.misuse "cannot wait here: a C function that called this cannot yield (gsub, sort, require; on Lua 5.1 pcall)"
  end
end

-- ---- Waiting ---------------------------------------------------------------------

local function wait_here(fd, direction, timeout)
  if not current.active() then
    return block(fd, direction, timeout)
  elseif not current.waits_in_main then
    loop.check_yieldable()
  end
  return current.wait(fd, direction, timeout)
end

local function sleep_here(seconds)
  if not current.active() then
    return none.sleep(seconds)
  elseif not current.waits_in_main then
    loop.check_yieldable()
  end
  return current.sleep(seconds)
end

--- Waits on the loop in use; blocks where that cannot wait.
function loop.wait(fd, direction, timeout)
  return generator.outside(wait_here, fd, direction, timeout)
end

--- Sleeps on the loop in use.
function loop.sleep(seconds)
  return generator.outside(sleep_here, seconds)
end

-- Whether a loop runs that is loaded, as far as it says so.
local runs = {
  cqueues = function(library)
    return library.running()
  end,
  luv = function(library)
    return library.loop_mode and library.loop_mode()
  end,
  copas = function(library)
    return library.running
  end,
}
local warned = false

--- Says once on stderr that the own scheduler blocks another loop, which is a mistake
-- of the program that otherwise shows as a slow one.
function loop.warn_of_another()
  if warned then
    return
  end
  for library_name, is_running in pairs(runs) do
    local library = package.loaded[library_name]
    if library and is_running(library) then
      warned = true
      io.stderr:write(('gipc: this wait blocks the loop of %s, which runs: use gipc.use "%s"\n')
        :format(library_name, library_name))
    end
  end
end

--- Lets other coroutines run, once.  Nothing depends on it, so it is left out where it
-- could fail.
function loop.let_others_run()
  if current.active() and (isyieldable() or not loop.in_coroutine()) then
    generator.outside(current.sleep, 0)
  end
end

--- A wait without a descriptor, on the loop in use.
function loop.parking()
  return current.parking and current.parking() or new_pipe()
end

--- Waits until loop.wake(parking): true; or timeout seconds are over.
function loop.park(parking, timeout)
  return generator.outside(parking.wait, parking, timeout)
end

function loop.wake(parking)
  parking:wake()
end

--- What was made for a wait is released.
function loop.unpark(parking)
  if parking.close then
    parking:close()
  end
end

--- Whether a descriptor that is waited for must stay open.
function loop.needs_open()
  return current.needs_open
end

--- To be called before a descriptor that may have been waited for is closed.
function loop.forget(fd)
  if fd and current.forget then
    current.forget(fd)
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
  warned = true -- what the parent's loops say is not so here
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
    parking = chosen.parking,
    forget = chosen.forget,
    needs_open = chosen.needs_open,
    waits_in_main = chosen.waits_in_main,
  }
  name = type(what) == "string" and what or "custom"
end

return loop
