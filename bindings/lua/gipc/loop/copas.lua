--- Waiting in a coroutine of copas.
--
-- To copas a wait is a socket that has not yet got what was asked for.  Its early
-- releases have no timers: a timeout is another wait, for a timer's descriptor.
-- @module gipc.loop.copas
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local guard = require "gipc.guard"
local native = require "gipc.native"

local copas = {}

-- What select() takes.
local highest = 1023

-- A socket as copas and select see one: not ready the first time.
local Wait = {}
local meta = generator.yielded(Wait)

local function new_wait(fd)
  if fd > highest then
    failure.misuse(("copas waits with select, which takes no descriptor over %d"):format(highest))
  end
  return setmetatable({ fd = fd, asked = false, over = false, always = false }, meta)
end

function Wait:getfd()
  return self.fd
end

-- To select: as ready as if there were bytes in a buffer.
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

function Wait:send()
  if self.asked then
    return 1
  end
  self.asked = true
  return nil, "timeout", 0
end

-- copas closes the sockets of coroutines that have ended; these are not its own.
function Wait:close() end

function copas.new()
  local library = require "copas"

  local function wait_for(wait, direction)
    if direction == "w" then
      library.send(wait, "")
    else
      library.receive(wait, 0)
    end
  end

  local function new_timer(seconds)
    local timer = failure.check(failure.collecting(native.timer_new))
    failure.check(native.timer_set(timer, seconds))
    return timer
  end

  local function sleep(seconds)
    local timer = new_timer(seconds)
    wait_for(new_wait(native.fd_of(timer)), "r")
    native.close_descriptor(timer)
  end

  -- Ends a wait when its time is over, unless it has ended before.
  local Timer = {}
  Timer.__index = Timer

  local function end_later(wait, seconds)
    local timer = setmetatable({ timer = new_timer(seconds) }, Timer)
    local over = new_wait(native.fd_of(timer.timer))
    library.addthread(function()
      wait_for(over, "r")
      native.close_descriptor(timer.timer)
      if not timer.released then
        wait.over = true
        wait.fd = wait.always or wait.fd
      end
    end)
    return timer
  end

  -- The thread above ends at the next step, and not with the time that it had.
  function Timer:release()
    self.released = true
    native.timer_set(self.timer, 0) -- EBADF: it has ended
    if self.reader then
      native.close(self.reader)
      native.close(self.writer)
    end
  end

  local function wait(fd, direction, timeout)
    local this = new_wait(fd)
    if not timeout then
      wait_for(this, direction)
      return true
    end
    local timer = end_later(this, timeout)
    if direction == "w" then
      -- Only readers can be dirty: a writer turns to what can be written.
      timer.reader, timer.writer = failure.check(failure.collecting(native.pipe))
      this.always = native.fd(timer.writer, native.WRITE)
    end
    guard(timer, wait_for, this, direction)
    return not this.over
  end

  return {
    wait = wait,
    sleep = sleep,
    spawn = library.addthread,
  }
end

return copas
