--- Codecs: how a message becomes bytes.  A codec is two functions, or none: raw.
-- @module gipc.codec
local failure = require "gipc.failure"
local value = require "gipc.value"

local codec = { null = value.null, binary = value.binary, map = value.map }

-- A message is never nil, so that a nil result is always a failure or the end.
local function message(item)
  if item == nil then
    return value.null
  end
  return item
end

local modules = { msgpack = "MessagePack", json = "cjson" }

local function load_codec(name)
  local found, result = pcall(require, "gipc." .. name)
  if not found then
    failure.misuse(('the codec "%s" needs the module %s: %s'):format(name, modules[name], result))
  end
  return { result.encode, result.decode, refuses = result.refuses }
end

local loaded = { raw = {} }

-- The depth that encoders allow; they report deeper nesting.
local DEPTH = 1000

local function text_of_key(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then
    return "." .. key
  end
  return "[" .. failure.describe(key) .. "]"
end

-- The reason why a codec does not take a value, and in `place` the keys to that part
-- of it; nil: none is found.
local function find_refused(refuses, item, place, above)
  local meta = getmetatable(item)
  local name = type(meta) == "table" and rawget(meta, "__name")
  local is_ours = type(name) == "string" and name:find "^gipc "
  local reason = is_ours and "a " .. name or refuses(item)
  if reason or type(item) ~= "table" or #place > DEPTH then
    return reason
  end
  local kind, content = value.kind(item)
  if kind == "binary" then
    return nil
  elseif above[content] then
    return "a table that is inside itself"
  end
  above[content] = true
  for key, inner in pairs(content) do
    table.insert(place, text_of_key(key))
    reason = refuses(key, true) or find_refused(refuses, inner, place, above)
    if reason then
      return reason
    end
    table.remove(place)
  end
  above[content] = nil
end

--- Raises an error that describes why a codec did not encode a value.
-- @param what the codec
-- @param item the value
-- @param message the error of its encode function; kept if it is not a string
function codec.refuse(what, item, message)
  if type(message) ~= "string" then
    error(message, 0)
  end
  local refuses = loaded[what] and loaded[what].refuses
  local place = {}
  local ok, reason = pcall(find_refused, refuses or function() end, item, place, {})
  message = message:gsub("^.-%.lua:%d+: ", ""):gsub("^gipc: ", "")
  if ok and reason then
    message = reason .. (place[1] and " at " .. table.concat(place) or "")
  end
  failure.misuse("the message cannot be encoded: " .. message)
end

--- The encode and decode functions of a codec; nothing for raw.
-- @param what a name, or a table of two functions; nil is msgpack
function codec.find(what)
  what = what or "msgpack"
  if type(what) == "table" then
    local encode, decode = what.encode or what[1], what.decode or what[2]
    if type(encode) ~= "function" or type(decode) ~= "function" then
      failure.misuse "a codec is a table of two functions, encode and decode"
    end
    return encode, function(data)
      return message(decode(data))
    end
  end
  if not loaded[what] and not modules[what] then
    failure.misuse(('no codec "%s": use "msgpack", "json", "raw" or { encode, decode }'):format(tostring(what)))
  end
  loaded[what] = loaded[what] or load_codec(what)
  return loaded[what][1], loaded[what][2]
end

return codec
