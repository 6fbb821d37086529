--- Checks of arguments.  The error of a wrong argument names the argument, and says what
-- is valid.
-- @module gipc.argument
local failure = require "gipc.failure"
local native = require "gipc.native"

local argument = {}

local signals = native.signals()

local function refuse(what, right, value)
  failure.misuse(("%s is %s, not %s"):format(what, right, failure.describe(value)))
end

--- An integer from low (by default 0) to high (by default the largest int of C).
-- A larger one would be truncated to another number.
function argument.integer(value, what, low, high)
  low, high = low or 0, high or 2 ^ 31 - 1
  if type(value) ~= "number" or value % 1 ~= 0 or value < low then
    refuse(what, low == 0 and "an integer, 0 or more" or "an integer", value)
  elseif value > high then
    refuse(what, ("an integer, at most %.0f"):format(high), value)
  end
  return value
end

--- A number of bytes, and what else has 64 bits: as exact as any Lua has it.
function argument.size(value, what)
  return argument.integer(value, what, 0, 2 ^ 53 - 1)
end

--- The ID of a user or a group.
function argument.id(value, what)
  return argument.integer(value, what, 0, 2 ^ 32 - 1)
end

function argument.string(value, what)
  if type(value) ~= "string" or value:find("\0", 1, true) then
    refuse(what, "a string without NUL", value)
  end
  return value
end

function argument.boolean(value, what)
  if type(value) ~= "boolean" then
    refuse(what, "true or false", value)
  end
  return value
end

function argument.table(value, what, right)
  if type(value) ~= "table" then
    refuse(what, right or "a table", value)
  end
  return value
end

--- A list.  Other keys and items behind a hole would be ignored.
function argument.list(value, what)
  local count = 0
  for _ in pairs(argument.table(value, what, "a list")) do
    count = count + 1
  end
  for i = 1, count do
    if value[i] == nil then
      failure.misuse(("%s is a list, and its item %d is missing"):format(what, i))
    end
  end
  return value
end

--- The number of a signal, from that or its name: "TERM" or "SIGTERM".
function argument.signal(value, what)
  local number = type(value) == "string" and signals[value:gsub("^SIG", "")] or value
  if type(number) ~= "number" then
    refuse(what, 'a signal, such as "TERM"', value)
  end
  return argument.integer(number, what)
end

--- A descriptor, from that or a file of Lua.
function argument.fd(value, what)
  return argument.integer(native.file_fd(value) or value, what)
end

--- Whether a value can be called.
function argument.is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and meta.__call ~= nil
end

--- A function, or nil.
function argument.callable(value, what)
  if value ~= nil and not argument.is_callable(value) then
    refuse(what, "a function", value)
  end
  return value
end

--- A table of options, with no other names than these.
-- @return the table, or an empty one for nil
function argument.options(value, what, names)
  if value == nil then
    return {}
  elseif type(value) ~= "table" or getmetatable(value) then
    refuse(what, "a table of options", value)
  end
  for name in pairs(value) do
    if not names[name] then
      failure.misuse(("there is no option %s"):format(failure.describe(name)))
    end
  end
  return value
end

return argument
