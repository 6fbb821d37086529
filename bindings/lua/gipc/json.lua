--- The codec "json": cjson, without its rounding of numbers.
-- @module gipc.json
local cjson = require "cjson"
local failure = require "gipc.failure"
local native = require "gipc.native"
local value = require "gipc.value"

local DEPTH = 1000 -- of arrays and objects inside each other, as cjson has it

local library = cjson.new()
library.decode_max_depth(DEPTH)
library.decode_invalid_numbers(false)

-- Releases before 2.1.0.8 make doubles of all numbers.
local has_integers = math.type and math.type(library.decode "[1]"[1]) == "integer"

-- ---- Encoding ---------------------------------------------------------------------

-- Without a type of integers, %d is one of C, which may have 32 bits.
local whole = math.type and "%d" or "%.0f"

-- The shortest text that is this number again; cjson stops at 14 digits.
local function text_of_number(number)
  if number ~= number or number == 1 / 0 or number == -1 / 0 then
    failure.misuse "JSON has no NaN and no infinity"
  end
  local is_small = number > -value.INTEGERS and number < value.INTEGERS
  local is_integer = not math.type and is_small and number % 1 == 0 and (number ~= 0 or 1 / number > 0)
  if is_integer or math.type and math.type(number) == "integer" then
    return whole:format(number)
  end
  local text
  for digits = 15, 17 do
    text = ("%." .. digits .. "g"):format(number):gsub(",", ".") -- of some locales
    if tonumber(text) == number then
      break
    end
  end
  return text:find "[.e]" and text or text .. ".0"
end

local function text_of_string(s)
  if not native.is_utf8(s) then
    failure.misuse "JSON carries text in UTF-8, and no other strings"
  end
  return library.encode(s)
end

local write

local function write_list(buffer, list, count, depth)
  for i = 1, count do
    buffer[#buffer + 1] = i == 1 and "[" or ","
    write(buffer, list[i], depth)
  end
  buffer[#buffer + 1] = count == 0 and "[]" or "]"
end

local function write_map(buffer, map, depth)
  local before = "{"
  for key, item in pairs(map) do
    if type(key) ~= "string" then
      failure.misuse("a key in JSON is a string, not a " .. type(key))
    end
    buffer[#buffer + 1] = before .. text_of_string(key) .. ":"
    write(buffer, item, depth)
    before = ","
  end
  buffer[#buffer + 1] = before == "{" and "{}" or "}"
end

function write(buffer, item, depth)
  local kind = type(item)
  if kind == "number" then
    buffer[#buffer + 1] = text_of_number(item)
  elseif kind == "string" then
    buffer[#buffer + 1] = text_of_string(item)
  elseif kind ~= "table" then
    buffer[#buffer + 1] = library.encode(item)
  elseif depth == DEPTH then
    failure.misuse(("more than %d levels of tables"):format(DEPTH))
  else
    local is, content, count = value.kind(item)
    if is == "binary" then
      failure.misuse "JSON has no binary strings"
    elseif is == "list" then
      write_list(buffer, content, count, depth + 1)
    else
      write_map(buffer, content, depth + 1)
    end
  end
end

local function encode(item)
  local buffer = {}
  write(buffer, item, 0)
  return table.concat(buffer)
end

-- ---- Decoding ---------------------------------------------------------------------

-- Integers that have become other ones.
local function refuse_rounded(text)
  local numbers = text:gsub("\\.", ""):gsub('"[^"]*"', "")
  for token in numbers:gmatch "[%d.eE+-]+" do
    local number = not token:find "[.eE]" and tonumber(token) or 0
    local is_small = number > -value.INTEGERS and number < value.INTEGERS
    if not is_small and not (has_integers and math.type(number) == "integer") then
      error("an integer that would be rounded: " .. token, 0)
    end
  end
end

local function restore_integers(item)
  if type(item) == "table" then
    for key, inner in pairs(item) do
      item[key] = restore_integers(inner)
    end
  elseif math.type(item) == "float" and item > -value.INTEGERS and item < value.INTEGERS then
    return (item ~= 0 or 1 / item > 0) and math.tointeger(item) or item
  end
  return item
end

local sixteen_digits = ("%d"):rep(16)

local function decode(text)
  if not native.is_utf8(text) then
    error("JSON is text in UTF-8", 0)
  end
  local item = library.decode(text)
  if text:find(sixteen_digits) then
    refuse_rounded(text)
  end
  if math.type and not has_integers then
    return restore_integers(item)
  end
  return item
end

local refused = { ["function"] = true, thread = true, userdata = true }

local function refuses(item, is_key)
  local kind = type(item)
  if is_key and kind ~= "string" and kind ~= "number" then
    return "a key that is a " .. kind
  elseif kind == "number" then
    return (item ~= item or item == 1 / 0 or item == -1 / 0) and "a NaN or infinity"
  elseif kind == "string" then
    return not native.is_utf8(item) and "a string that is not UTF-8"
  elseif kind == "table" then
    return value.kind(item) == "binary" and "a binary string"
  end
  return refused[kind] and item ~= value.null and "a " .. kind
end

return { encode = encode, decode = decode, refuses = refuses }
