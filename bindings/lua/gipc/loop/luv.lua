--- Waiting on luv's loop.
-- @module gipc.loop.luv
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local guard = require "gipc.guard"
local native = require "gipc.native"

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

local directions = { r = native.READ, w = native.WRITE }

-- The descriptors that are waited for.  luv watches an epoll that they are in: if it
-- watched them, the end of a peer that leaves unread bytes would be an error for it,
-- which it prints.
local Set = { watches = {} }

-- The watcher keeps the loop running only while something is waited for.
function Set:open()
  local epoll = failure.check(failure.collecting(native.epoll_new))
  local poll = assert(require("luv").new_poll(native.fd_of(epoll)))
  poll:unref()
  poll:start("r", function()
    self:look()
  end)
  self.epoll, self.poll = epoll, poll
end

function Set:add(fd, direction, watch)
  if not self.poll then
    self:open()
  end
  self.watches[fd] = watch
  failure.check(native.epoll_watch(self.epoll, fd, directions[direction], fd))
  self.poll:ref()
end

-- In this order, so that after an interrupt it can be removed again.
function Set:remove(fd)
  native.epoll_watch(self.epoll, fd, 0, 0)
  self.watches[fd] = nil
  if not next(self.watches) then
    self.poll:unref()
  end
end

function Set:look()
  for _, fd in ipairs(native.epoll_ready(self.epoll)) do
    local watch = self.watches[fd]
    if watch then
      watch:ended(true)
    else
      native.epoll_watch(self.epoll, fd, 0, 0)
    end
  end
end

-- One wait of a coroutine, with watchers that end with it.
local Watch = {}
Watch.__index = Watch

function Watch:release()
  if self.fd and Set.watches[self.fd] == self then
    Set:remove(self.fd)
  end
  close(self.timer)
  close(self.idle)
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
  local function new_watch()
    return setmetatable({ co = coroutine.running(), waits = false }, Watch)
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
    if Set.watches[fd] then
      Set.watches[fd]:release()
    end
  end

  -- Called inside a guard, so that an interrupt leaves no watcher.
  local function poll_for(watch, fd, direction, timeout)
    forget(fd) -- of a coroutine that could not wait
    watch.fd = fd
    Set:add(fd, direction, watch)
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
