--- Repeats the steps of a handle, and waits between them in the loop in use.
-- @module gipc.complete
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"

local DONE, YIELD = native.DONE, native.YIELD

local function either_of(read_fd, write_fd)
  local either = failure.collecting(native.epoll_new)
  if either and read_fd and native.epoll_add(either, read_fd, native.READ)
    and native.epoll_add(either, write_fd, native.WRITE) then
    return either
  end
end

-- What to wait for until the handle is writable.  The peer may also be blocked in a put:
-- this reads ahead, unless a get is in progress, and the wait is for both directions, so
-- that both peers can continue.
local function writable(self)
  local out = native.fd(self.native, native.WRITE)
  if not self.duplex then
    return out, "w"
  end
  if not self.getting.locked then
    local _, no_more = native.read_ahead(self.native)
    if no_more then
      return out, "w" -- the limit or the end of the stream; the next get returns it
    end
  end
  self.either = self.either or either_of(native.fd(self.native, native.READ), out)
  if self.either then
    return native.fd_of(self.either), "r"
  end
  return out, "w"
end

-- Waits until a step may succeed.  Returns false if the timeout has expired.
local function await(self, direction, deadline)
  local left = deadline and deadline - native.now()
  if left and left <= 0 then
    return false
  end
  if direction == native.WRITE then
    local fd, letter = writable(self)
    loop.wait(fd, letter, left)
  else
    loop.wait(native.fd(self.native, direction), "r", left)
  end
  return true
end

-- Repeats a step, whose last results are given, until it is done or has failed, or the
-- timeout expires.  Returns its value, or true; or nil, message, code.
return function(self, direction, deadline, step, outcome, value, code)
  while outcome ~= DONE and outcome ~= nil do
    if outcome == YIELD then
      loop.let_others_run()
    elseif not await(self, direction, deadline) then
      return failure.timeout()
    end
    outcome, value, code = step(self.native)
  end
  if outcome == nil then
    return nil, value, code
  end
  return value or true
end
