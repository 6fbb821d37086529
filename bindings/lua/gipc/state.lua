--- The properties and limits of a handle, for programs and loops, and the descriptors of its messages.
-- @module gipc.state
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local native = require "gipc.native"
local transport = require "gipc.transport"

local function results(value, message, code)
  if value == nil then
    return failure.result(message, code)
  end
  return value
end

local function succeeded(value, message, code)
  results(value, message, code)
  return true
end

local Handle = {} -- its methods, which gipc.handle takes

--- Whether the handle is closed, or was passed to a child.
function Handle:closed()
  return native.directions(self.native) == nil
end

--- The directions that it is open for.
-- @treturn ?string "r", "w" or "rw"; nil when it is closed
function Handle:directions()
  local open = native.directions(self.native)
  return open and (open == native.READ and "r" or open == native.WRITE and "w" or "rw")
end

local numbers = { r = native.READ, w = native.WRITE }

local function direction_number(direction, default)
  return numbers[direction or default] or failure.misuse('a direction is "r" or "w", not ' .. failure.describe(direction))
end

--- The descriptor to poll, level-triggered.
-- @tparam string direction "r" or "w"
function Handle:fd(direction)
  return results(native.fd(self.native, direction_number(direction, "r")))
end

--- For cqueues.poll and socket.select: the direction to wait for, until a get on a handle
-- that reads, or a put on another one, can continue.
-- @treturn string "r" or "w"
function Handle:events()
  return self:directions() == "w" and "w" or "r"
end

--- The descriptor for that.
function Handle:pollfd()
  return self:fd(self:events())
end

Handle.getfd = Handle.pollfd

--- Whether a get returns at once, also if its descriptor is not readable.
function Handle:dirty()
  return self:events() == "r" and results(native.get_would_not_wait(self.native)) ~= 0
end

--- The same for cqueues.poll: 0 seconds, or nil.
function Handle:timeout()
  return self:dirty() and 0 or nil
end

--- How many bytes are received and not yet got ("r"), or queued and not yet written
-- ("w"), with headers.
function Handle:pending(direction)
  return results(native.pending(self.native, direction_number(direction, "r")))
end

--- Takes the descriptors of the message that the last get returned.  Those that are not
-- taken are closed with the next get, or with the handle.
-- @return a list of numbers, which the caller closes; or nil, error text, error code
-- (gipc.EMFILE: they were lost, because this process had no descriptors left)
function Handle:take_fds()
  return results(native.take_fds(self.native))
end

--- Sets the size of the largest message that is got or put, in bytes; default 1 GiB.
function Handle:set_limit(bytes)
  local done = succeeded(native.set_limit(self.native, argument.size(bytes, "the limit")))
  self.limit = bytes
  return done
end

--- Sets how many bytes are read ahead while a put waits; default 64 MiB, 0 turns
-- read-ahead off.
function Handle:set_read_limit(bytes)
  return succeeded(native.set_read_limit(self.native, argument.size(bytes, "the limit")))
end

--- Sets the low and high water marks of the write queue, in bytes; defaults 64 KiB and
-- 256 KiB.
function Handle:set_marks(low, high)
  argument.size(low, "low")
  if argument.size(high, "high") <= low then
    failure.misuse(("high is more than low, not %d"):format(high))
  end
  return succeeded(native.set_marks(self.native, low, high))
end

--- Sets how the bytes get to the peer, in both directions.
-- @tparam string word "auto", the default: two handles on one machine that exchange
-- messages change by themselves from the socket to a ring in shared memory, where a put
-- needs no system call; any other peer reads every message from the socket.  "plain": no
-- ring is used, and one in use is left.  "ring": a ring is offered with the first message.
-- @return true; or nil, message, code: gipc.EOPNOTSUPP if this handle or system has no
-- ring, gipc.EBUSY if the ring has messages, which must be got first
function Handle:set_transport(word)
  transport.number(word) -- nil is an error
  local done, message, code = transport.choose(self.native, word, "the handle")
  if not done then
    return failure.result(message, code)
  end
  return true
end

local counters = {
  "messages_in", "messages_out", "bytes_in", "bytes_out", "reads", "writes", "bells_in", "bells_out",
  "stalls_out",
}

--- Counters: messages_in, messages_out, bytes_in, bytes_out, reads, writes (system calls);
-- bells_in, how often a get found the ring empty; bells_out, how often a put woke the
-- peer; stalls_out, how often a put found the ring full.  And transport_in and
-- transport_out: "ring" while messages go through a ring, or "plain".
-- @treturn table
function Handle:stats()
  local stats = results(native.handle_stats(self.native))
  local copy = {}
  for _, name in ipairs(counters) do
    copy[name] = stats and stats[name]
  end
  if stats then
    copy.transport_in = transport.in_use[stats.transport_in]
    copy.transport_out = transport.in_use[stats.transport_out]
  end
  return copy
end

function Handle:__tostring()
  local r = native.fd(self.native, native.READ)
  local w = native.fd(self.native, native.WRITE)
  if not r and not w then
    return "gipc handle: closed"
  end
  return "gipc handle:" .. (r and " reads " .. r or "") .. (w and " writes " .. w or "")
end

return Handle
