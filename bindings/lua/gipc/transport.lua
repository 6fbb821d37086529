--- How the bytes of a handle get to its peer.
-- @module gipc.transport
local failure = require "gipc.failure"
local native = require "gipc.native"

local transport = {}

local numbers = {
  auto = native.TRANSPORT_AUTO,
  plain = native.TRANSPORT_PLAIN,
  ring = native.TRANSPORT_RING,
}

--- The words for what is in use.
transport.in_use = {
  [native.TRANSPORT_PLAIN] = "plain",
  [native.TRANSPORT_RING] = "ring",
}

--- The number of a transport for the library.
function transport.number(word)
  return numbers[word] or failure.misuse('transport is "auto", "plain" or "ring", not ' .. failure.describe(word))
end

--- A result of the library, with a message that names what has no such transport.
function transport.result(what, value, message, code)
  if code == native.EOPNOTSUPP then
    message = what .. ' cannot use the transport "ring", which needs Linux and an AF_UNIX stream socket'
  elseif code == native.EBUSY then
    message = what .. " still uses a ring: get its messages, then set the transport again"
  end
  return value, message, code
end

--- Chooses the transport of a native handle.
-- @tparam ?string word nil: that of GIPC_TRANSPORT in the environment
-- @return true; or nil, message, code
function transport.choose(native_handle, word, what)
  if word == nil then
    return true
  end
  return transport.result(what, native.set_transport(native_handle, transport.number(word)))
end

return transport
