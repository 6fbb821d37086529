--- The loop that this process waits on.
--
-- A loop is a table with
--   wait(fd, direction, timeout): true when fd is ready for "r" or "w"; false
--     when the timeout (seconds; nil: none) expires
--   sleep(seconds): optional
--   spawn(f): optional, runs f in a coroutine of the loop
--   active(): optional, whether it can wait here; else in any coroutine
--   parking(): optional, an object with wait(self, timeout) and wake(self): a wait
--     without a descriptor; and close(self), which ends the wait early
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

-- Blocks in poll(2).  The hooks of Lua run after a signal (Ctrl-C).
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

local current = none
local name = "none"

-- The parking of loops that have none of their own: the descriptor of a timer, which
-- expires after the timeout, or at once when it is woken.
local Timer = {}
Timer.__index = Timer

local function new_timer()
  return setmetatable({ timer = failure.check(failure.collecting(native.timer_new)), woken = false }, Timer)
end

function Timer:wait(timeout)
  if timeout and not self.woken then
    failure.check(native.timer_set(self.timer, timeout))
  end
  current.wait(native.fd_of(self.timer), "r")
  return self.woken
end

function Timer:wake()
  self.woken = true
  failure.check(native.timer_set(self.timer, 0))
end

function Timer:close()
  loop.forget(native.fd_of(self.timer))
  native.close_descriptor(self.timer)
end

-- The sleep of loops that have none of their own.
local function sleep_on_timer(seconds)
  local timer = new_timer()
  timer:wait(seconds)
  timer:close()
end

-- ---- Whether a wait is possible here ---------------------------------------------

-- Lua 5.1 and 5.2 have no isyieldable: a C function among the callers prevents a yield,
-- unless it is known to allow one.  On 5.1 none does, nor the iterator of a loop, which
-- is recognized by its name.  Metamethods of 5.1 are not recognized.
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

--- Prints once on stderr that the own scheduler blocks another loop, a mistake of the
-- program that would otherwise only make it slow.
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
  return current.parking and current.parking() or new_timer()
end

--- Waits until loop.wake(parking) is called (true), or the timeout expires.
function loop.park(parking, timeout)
  return generator.outside(parking.wait, parking, timeout)
end

function loop.wake(parking)
  parking:wake()
end

--- Releases what was made for a wait.
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

--- Whether others can run while this coroutine waits.
function loop.cooperative()
  return current.active()
end

--- Runs f in a coroutine of its own, if the loop in use can do that.
-- @treturn boolean whether it can
function loop.spawn(f)
  local can = current.spawn ~= nil and current.active()
  if can then
    current.spawn(f)
  end
  return can
end

--- The name of the loop in use.
function loop.name()
  return name
end

local shipped = { luv = true, cqueues = true, copas = true }
local inherited = {}

--- In a child: its own scheduler, and nothing of its parent's loops.
function loop.reset_in_child()
  -- luv has one loop for a Lua state, which the child shares with its parent.
  inherited.luv = package.loaded.luv ~= nil
  -- copas has one set of queues for a module: the next require makes another.
  package.loaded.copas = nil
  warned = true -- the parent's loops do not run in this process
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
    sleep = chosen.sleep or sleep_on_timer,
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
