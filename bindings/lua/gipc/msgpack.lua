--- The codec "msgpack": lua-MessagePack, with every value exact.
-- @module gipc.msgpack
local native = require "gipc.native"
local value = require "gipc.value"

local DEPTH = 512 -- of lists and maps inside each other

-- A private copy of the module, because its settings are global.
local function private_copy()
  local shared = package.loaded.MessagePack
  package.loaded.MessagePack = nil
  local found, copy = pcall(require, "MessagePack")
  if not found then
    -- What a package of gipc brings along, where the system has none for this Lua.
    local brought, own = pcall(require, "gipc.MessagePack")
    found, copy = brought, brought and own or copy
  end
  package.loaded.MessagePack = shared
  if not found then
    error(copy, 0)
  end
  return copy
end

-- The functions by the first byte of a value, which the module has no name for.
local function unpackers_of(library)
  local i = 1
  repeat
    local name, found = debug.getupvalue(library.unpack_cursor, i)
    if type(found) == "table" and found[0xC0] then
      return found
    end
    i = i + 1
  until not name
  error("a release of lua-MessagePack that is not known", 0)
end

local library = private_copy()
local packers, unpackers = library.packers, unpackers_of(library)
local depth

-- Calls f one level deeper.
local function nested(f, ...)
  depth = depth + 1
  if depth > DEPTH then
    error(("more than %d levels of tables"):format(DEPTH), 0)
  end
  local result = f(...)
  depth = depth - 1
  return result
end

-- ---- Packing ----------------------------------------------------------------------

local is_utf8 = native.is_utf8
local text, bytes, list, map = packers._string, packers.binary, packers.array, packers.map

function packers.string(buffer, s)
  return (is_utf8(s) and text or bytes)(buffer, s)
end

function packers.table(buffer, t)
  local kind, content, count = value.kind(t)
  if kind == "binary" then
    return bytes(buffer, content)
  end
  return nested(kind == "list" and list or map, buffer, content, count)
end

function packers.userdata(buffer, item)
  if item ~= value.null then
    error("userdata cannot be put", 0)
  end
  packers["nil"](buffer)
end

-- ---- Unpacking --------------------------------------------------------------------

unpackers[0xC0] = function()
  return value.null
end

for first, last in pairs { [0x80] = 0x9F, [0xDC] = 0xDF } do
  for byte = first, last do
    local unpack = unpackers[byte]
    unpackers[byte] = function(cursor, tag)
      return nested(unpack, cursor, tag)
    end
  end
end

local function refuse_inexact(byte, is_exact)
  local unpack = unpackers[byte]
  unpackers[byte] = function(cursor)
    local number = unpack(cursor)
    if not is_exact(number) then
      error("an integer that this Lua has not", 0)
    end
    return number
  end
end

function library.build_ext(tag)
  error(("an extension type: %d"):format(tag), 0)
end

if math.type then
  refuse_inexact(0xCF, function(number)
    return number >= 0
  end)
else
  -- Every number is a double.
  local function is_exact(number)
    return number > -value.INTEGERS and number < value.INTEGERS
  end
  refuse_inexact(0xCF, is_exact)
  refuse_inexact(0xD3, is_exact)

  -- The module's own lose -0.0, and numbers that are less than normal.
  function packers.number(buffer, number)
    if number % 1 == 0 and is_exact(number) and (number ~= 0 or 1 / number > 0) then
      return packers.integer(buffer, number)
    end
    buffer[#buffer + 1] = "\203" .. native.bytes_of_double(number)
  end
  unpackers[0xCB] = function(cursor)
    local i = cursor.i
    if i + 7 > cursor.j then
      cursor:underflow(i + 7)
    end
    cursor.i = i + 8
    return native.double_of_bytes(cursor.s:sub(i, i + 7))
  end
end

-- ---- Short strings ------------------------------------------------------------------

-- The library makes tables for each message, which costs more than the pipe.  A string
-- that is a whole message needs none: two of MessagePack's formats, "fixstr" and "str 8".
local char = string.char

local function of_short(s)
  local size = #s
  if size > 255 or not is_utf8(s) then
    return nil
  elseif size < 32 then
    return char(0xA0 + size) .. s
  end
  return "\217" .. char(size) .. s
end

local function to_short(data)
  local format, size = data:byte(1, 2)
  if format == 0xD9 and size == #data - 2 then
    return data:sub(3)
  elseif format and format >= 0xA0 and format < 0xC0 and format - 0xA0 == #data - 1 then
    return data:sub(2)
  end
end

local refused = { ["function"] = true, thread = true, userdata = true }

return {
  refuses = function(item)
    return refused[type(item)] and item ~= value.null and "a " .. type(item)
  end,
  encode = function(item)
    depth = 0
    return type(item) == "string" and of_short(item) or library.pack(item)
  end,
  decode = function(data)
    depth = 0
    return to_short(data) or library.unpack(data)
  end,
}
