--- The properties and limits of a handle, for programs and loops.
-- @module gipc.state
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local native = require "gipc.native"

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
  return self:events() == "r" and native.get_returns(self.native) ~= 0
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

--- Counters: messages_in, messages_out, bytes_in, bytes_out, reads, writes.
-- @treturn table
function Handle:stats()
  local stats = results(native.handle_stats(self.native))
  local copy = {}
  for _, name in ipairs { "messages_in", "messages_out", "bytes_in", "bytes_out", "reads", "writes" } do
    copy[name] = stats and stats[name]
  end
  return copy
end

return Handle
