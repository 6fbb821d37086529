--- Waiting in a coroutine of copas.
--
-- To copas a wait is a socket that has not received what was asked for.  Early releases
-- have no timers: a timeout is a second wait, for the descriptor of a timer.
-- @module gipc.loop.copas
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local guard = require "gipc.guard"
local native = require "gipc.native"

local copas = {}

-- The largest descriptor that select() accepts.
local highest = 1023

-- A socket as copas and select see one: not ready the first time.
local Wait = {}
local meta = generator.yielded(Wait)

local function new_wait(fd)
  if fd > highest then
    failure.misuse(("copas waits with select, which takes no descriptor over %d"):format(highest))
  end
  return setmetatable({ fd = fd, asked = false, over = false }, meta)
end

function Wait:getfd()
  return self.fd
end

-- True makes select() return the socket as readable.
function Wait:dirty()
  return self.over
end

function Wait:receive()
  if self.asked then
    return ""
  end
  self.asked = true
  return nil, "timeout"
end

-- copas closes the sockets of coroutines that have ended; these are not its own.
function Wait:close() end

function copas.new()
  local library = require "copas"

  local function wait_for(wait)
    library.receive(wait, 0)
  end

  local function new_timer(seconds)
    local timer = failure.check(failure.collecting(native.timer_new))
    failure.check(native.timer_set(timer, seconds))
    return timer
  end

  -- Ends a wait when its timeout expires, unless it has ended before.
  local Timer = {}
  Timer.__index = Timer

  local function end_later(wait, seconds)
    local timer = setmetatable({ timer = new_timer(seconds) }, Timer)
    local over = new_wait(native.fd_of(timer.timer))
    library.addthread(function()
      wait_for(over)
      native.close_descriptor(timer.timer)
      if not timer.released then
        wait.over = true
      end
    end)
    return timer
  end

  -- Ends the thread above at the next step, before the timeout expires.
  function Timer:release()
    self.released = true
    native.timer_set(self.timer, 0) -- EBADF: it has ended
  end

  local function wait_to_read(fd, timeout)
    local this = new_wait(fd)
    if not timeout then
      wait_for(this)
      return true
    end
    guard(end_later(this, timeout), wait_for, this)
    return not this.over
  end

  local Writable = {} -- an epoll
  Writable.__index = Writable

  function Writable:release()
    native.close_descriptor(self.epoll)
  end

  local function wait(fd, direction, timeout)
    if direction == "r" then
      return wait_to_read(fd, timeout)
    end
    -- Only readers can be dirty, and to select() a socket that was shut down is not
    -- writable.
    local epoll = failure.check(failure.collecting(native.epoll_new))
    failure.check(native.epoll_add(epoll, fd, native.WRITE))
    return guard(setmetatable({ epoll = epoll }, Writable), wait_to_read, native.fd_of(epoll), timeout)
  end

  return {
    wait = wait,
    needs_open = true,
    spawn = library.addthread,
  }
end

return copas
