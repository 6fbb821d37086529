--- Waiting on luv's loop.
-- @module gipc.loop.luv
local generator = require "gipc.generator"
local guard = require "gipc.guard"

local luv = {}

-- No yield crosses pcall on Lua 5.1, so a yield that failed leaves its watchers.
local is_51 = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

-- What the coroutine yields to its resumer: a callback of luv, or a program that uses it
-- as a value.
local yielded = setmetatable({}, generator.yielded())

local function resume(co)
  if coroutine.status(co) ~= "suspended" then
    return
  end
  local ok, message = coroutine.resume(co)
  if not ok then
    -- luv reports errors in its callbacks.
    error(debug.traceback(co, tostring(message)), 0)
  end
end

local function milliseconds(seconds)
  return math.min(math.ceil(seconds * 1000), 2 ^ 31)
end

local function close(watcher)
  if watcher and not watcher:is_closing() then
    watcher:stop()
    watcher:close()
  end
end

-- One wait of a coroutine, with watchers that end with it.
local Watch = {}
Watch.__index = Watch

function Watch:release()
  close(self.poll)
  close(self.timer)
  close(self.idle)
  if self.fd and self.polls[self.fd] == self then
    self.polls[self.fd] = nil
  end
end

local function yield_for(watch)
  watch.waits = true
  coroutine.yield(yielded)
  watch.waits = false
  return watch.ready
end

local function still_waits(watch)
  local info = is_51 and debug.getinfo(watch.co, 1, "f")
  return watch.waits and (not info or info.func == yield_for)
end

function Watch:ended(ready)
  self:release()
  if still_waits(self) then
    self.ready = ready
    resume(self.co)
  end
end

function luv.new()
  local uv = require "luv"
  local polls = {} -- by descriptor, of which luv allows one each

  local function new_watch()
    return setmetatable({ co = coroutine.running(), polls = polls, waits = false }, Watch)
  end

  local function ends(watch, ready)
    return function()
      watch:ended(ready)
    end
  end

  local function start_timer(watch, seconds)
    uv.update_time()
    watch.timer = uv.new_timer()
    watch.timer:start(milliseconds(seconds), 0, ends(watch, false))
  end

  -- At the next iteration.  A timer of 0 that starts another one keeps luv from
  -- looking at descriptors.
  local function start_idle(watch, ready)
    watch.idle = uv.new_idle()
    watch.idle:start(ends(watch, ready))
  end

  local function forget(fd)
    if polls[fd] then
      polls[fd]:release()
    end
  end

  -- Called inside a guard, so that an interrupt leaves no watcher.
  local function poll_for(watch, fd, direction, timeout)
    forget(fd) -- of a coroutine that could not wait
    watch.fd = fd
    polls[fd] = watch
    watch.poll = assert(uv.new_poll(fd))
    watch.poll:start(direction, ends(watch, true))
    if timeout then
      start_timer(watch, timeout)
    end
    return yield_for(watch)
  end

  local function sleep_for(watch, seconds)
    if seconds > 0 then
      start_timer(watch, seconds)
    else
      start_idle(watch)
    end
    return yield_for(watch)
  end

  local function wait(fd, direction, timeout)
    local watch = new_watch()
    return guard(watch, poll_for, watch, fd, direction, timeout)
  end

  local function sleep(seconds)
    local watch = new_watch()
    guard(watch, sleep_for, watch, seconds)
  end

  local Parking = {}
  Parking.__index = Parking

  function Parking:wait(timeout)
    if self.woken then
      return true
    end
    self.watch = new_watch()
    return guard(self.watch, sleep_for, self.watch, timeout)
  end

  function Parking:wake()
    local before = self.woken
    self.woken = true
    if not before and self.watch and self.watch.waits then
      start_idle(self.watch, true) -- the timer runs until then
    end
  end

  local function parking()
    return setmetatable({ woken = false }, Parking)
  end

  local function spawn(f)
    resume(coroutine.create(f))
  end

  return { wait = wait, sleep = sleep, spawn = spawn, parking = parking, forget = forget }
end

return luv
