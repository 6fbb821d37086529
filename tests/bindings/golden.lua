-- The values of golden.json, as Lua has them.
local gipc = require "gipc"
local cjson = require "cjson"

local golden = {}

local function read()
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)"
  local file = assert(io.open(folder .. "golden.json"))
  local text = file:read "*a"
  file:close()
  return cjson.new().decode(text)
end

local function from_hex(hex)
  return (hex:gsub("..", function(byte)
    return string.char(tonumber(byte, 16))
  end))
end

-- ---- Values -----------------------------------------------------------------------

local absent = {} -- what this Lua has no value for

local function integer(text)
  local number = tonumber(text)
  if math.type then
    return math.tointeger(number) or absent
  end
  return number > -2 ^ 53 and number < 2 ^ 53 and number or absent
end

local function double(hex)
  -- At most 32 bits at a time, which is what a long of C has on some machines.
  local top, high, low = tonumber(hex:sub(1, 3), 16), tonumber(hex:sub(4, 8), 16), tonumber(hex:sub(9), 16)
  local mantissa = high * 2 ^ 32 + low
  local sign, exponent = top >= 0x800 and -1 or 1, top % 0x800
  if exponent == 0x7FF then
    return mantissa == 0 and sign / 0 or -(0 / 0) -- whose sign is minus
  elseif exponent == 0 then
    return sign * (mantissa * 2 ^ -1074)
  end
  return sign * (1 + mantissa / 2 ^ 52) * 2 ^ (exponent - 1023)
end

-- A value as it is put, with the marks of gipc; or as it is got.
local function value(description, is_put)
  local kind, content = description[1], description[2]
  if kind == "nil" then
    return gipc.null
  elseif kind == "int" then
    return integer(content)
  elseif kind == "float" then
    return double(content)
  elseif kind == "bin" then
    return is_put and gipc.binary(from_hex(content)) or from_hex(content)
  elseif kind == "list" then
    local list = {}
    for i, item in ipairs(content) do
      list[i] = value(item, is_put)
    end
    return list
  elseif kind == "map" then
    local map = {}
    for _, pair in ipairs(content) do
      map[value(pair[1])] = value(pair[2], is_put)
    end
    return is_put and gipc.map(map) or map
  end
  return content
end

-- ---- The table --------------------------------------------------------------------

local families = {
  ["lua5.5"] = { "lua" },
  ["lua5.4"] = { "lua" },
  ["lua5.3"] = { "lua" },
  ["lua5.2"] = { "lua51", "lua" },
  ["lua5.1"] = { "lua51", "lua" },
  luajit = { "lua51", "lua" },
}

golden.language = jit and "luajit" or _VERSION:lower():gsub(" ", "")

-- Whether a language may make something else of an entry, or refuse it.
function golden.may_differ(entry, language, codec)
  for _, family in ipairs(families[language] or {}) do
    if entry[family] and entry[family][codec] then
      return true
    end
  end
  return false
end

-- The bytes of an entry; nil where the codec cannot carry it.
local function bytes_in(codec, entry)
  if entry[codec] ~= cjson.null then
    return codec == "msgpack" and from_hex(entry[codec]) or entry[codec]
  end
end

-- The entries that this Lua has values for have `put` and `got`.
local contents = read()
golden.entries = contents.values
for _, entry in ipairs(golden.entries) do
  entry.bytes = { msgpack = bytes_in("msgpack", entry), json = bytes_in("json", entry) }
  if value(entry.value) ~= absent then
    entry.put, entry.got = value(entry.value, true), value(entry.value)
  end
end
golden.malformed = { msgpack = {}, json = contents.malformed_json }
for i, hex in ipairs(contents.malformed_msgpack) do
  golden.malformed.msgpack[i] = from_hex(hex)
end

-- Whether a is b in all that another language could see; unless that may differ.
function golden.same(a, b, may_differ)
  if type(a) ~= type(b) then
    return false
  elseif type(a) == "number" then
    local both_nan = a ~= a and b ~= b
    local same_type = may_differ or not math.type or math.type(a) == math.type(b)
    local same_zero = a ~= 0 or 1 / a == 1 / b
    return both_nan or a == b and same_zero and same_type
  elseif type(a) ~= "table" then
    return a == b
  end
  for key, item in pairs(a) do
    if not golden.same(item, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

return golden
