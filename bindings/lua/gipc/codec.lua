--- Codecs: how a message becomes bytes.  A codec is two functions, or none: raw.
-- @module gipc.codec
local failure = require "gipc.failure"
local value = require "gipc.value"

local codec = { null = value.null, binary = value.binary, map = value.map }

-- A message is never nil, so that a nil result always is the end of something.
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
  return { result.encode, result.decode }
end

local loaded = { raw = {} }

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
