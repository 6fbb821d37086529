--- Failed results, and errors for misuse.
-- @module gipc.failure
local native = require "gipc.native"

local failure = {}

-- The codes of the system, by their names, are part of native.
for name, code in pairs(native.errors()) do
  rawset(native, name, code)
end

-- Messages that programs may compare with: they do not change.
local words = {
  [native.EOF] = "end of stream",
  [native.ETIMEDOUT] = "timeout",
}

local misuses = {
  [native.ECLOSED] = true,
  [native.ELOCKED] = true,
  [native.EWRONGPROC] = true,
  [native.EDIRECTION] = true,
  [native.EINVAL] = true,
}

-- Where this module's own files are: gipc.lua and gipc/.
local root = debug.getinfo(1, "S").source:match "^(.*gipc)[/\\]failure%.lua$"

local function is_own(source)
  return root and source:sub(1, #root) == root and source:find("^[/.]", #root + 1)
end

--- Raises an error at the line of the program that called gipc.
-- @tparam string message
function failure.misuse(message)
  local level = 2
  local info = debug.getinfo(level, "S")
  while info and (info.what == "C" or info.what == "tail" or is_own(info.source)) do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  error("gipc: " .. message, info and level or 2)
end

--- A failed result of the library, in the form that programs get.
-- @return nil, message, code; misuse is raised
function failure.result(message, code)
  if misuses[code] then
    failure.misuse(message)
  end
  return nil, words[code] or message, code
end

--- The result of a wait whose timeout has expired.
function failure.timeout()
  return nil, words[native.ETIMEDOUT], native.ETIMEDOUT
end

--- Raises a failure that no program expects.
function failure.check(...)
  local value, message = ...
  if value == nil and message then
    failure.misuse(message)
  end
  return ...
end

--- The text of any value, also of one whose __tostring fails.
function failure.text(value)
  local ok, text = pcall(tostring, value)
  return ok and text or ("a %s that has no text"):format(type(value))
end

--- Describes a wrong argument in an error: a quoted string, a number, or a type.
function failure.describe(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif type(value) == "number" then
    return tostring(value)
  end
  return value == nil and "nil" or "a " .. type(value)
end

local exhausted = { [native.EMFILE] = true, [native.ENFILE] = true }

-- For what makes an object, -EAGAIN is a failure: too many processes.
local function made(result, message, code)
  if result == nil and message == nil then
    return nil, native.strerror(native.EAGAIN), native.EAGAIN
  end
  return result, message, code
end

--- Calls make(...).  If there is no free descriptor, collects garbage, which may free
-- some, and calls it again.
function failure.collecting(make, ...)
  local result, message, code = made(make(...))
  if result == nil and exhausted[code] then
    collectgarbage()
    collectgarbage() -- objects that finalizers have released
    return made(make(...))
  end
  return result, message, code
end

-- Longer than a timer of any loop: decades.
local longest = 1e9

--- The deadline on the monotonic clock; nil if there is none: for nil, and for a negative
-- or infinite timeout, as in C.
function failure.deadline(timeout)
  if timeout == nil then
    return nil
  end
  if type(timeout) ~= "number" or timeout ~= timeout then
    failure.misuse "a timeout is a number of seconds, or nil"
  end
  if timeout < 0 or timeout > longest then
    return nil
  end
  return native.now() + timeout
end

return failure
