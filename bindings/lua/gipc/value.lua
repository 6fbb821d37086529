--- Values for which Lua has no type.
-- @module gipc.value
local failure = require "gipc.failure"
local native = require "gipc.native"

local value = {}

--- What stands for null in messages, as cjson has it.
value.null = native.null()

local Binary, Map = {}, {}

--- Marks a string to be encoded as MessagePack's bin.
function value.binary(s)
  if type(s) ~= "string" then
    failure.misuse "gipc.binary takes a string"
  end
  return setmetatable({ s }, Binary)
end

--- Marks a table to be encoded as a map, even if it is empty or a list.
function value.map(t)
  if type(t) ~= "table" then
    failure.misuse "gipc.map takes a table"
  end
  return setmetatable({ t }, Map)
end

--- How a table is encoded.
-- @treturn string "binary", "map" or "list"
-- @return the string or the table
-- @treturn ?number how many items a list or map has
function value.kind(t)
  local mark = getmetatable(t)
  if mark == Binary then
    return "binary", t[1]
  elseif mark == Map then
    t = t[1]
  end
  local count, last, is_list = 0, 0, mark ~= Map
  for key in pairs(t) do
    count = count + 1
    if is_list and type(key) == "number" and key > 0 and key % 1 == 0 then
      last = key > last and key or last
    else
      is_list = false
    end
  end
  return is_list and last == count and "list" or "map", t, count
end

-- LuaJIT 2.1.0-beta3 compiles a recursion over it wrong: without this a table that is
-- inside itself was encoded, without an error, in 19 of 25 runs.
local jit = rawget(_G, "jit")
if jit then
  jit.off(value.kind)
end

-- Larger ones are not exact in a double, which is the only number of some Luas
-- and libraries.
value.INTEGERS = 2 ^ 53

return value
