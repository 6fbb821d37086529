-- What the parent and the child of the matrix have in common, in Lua.
local peer = {}

local MESSAGES = 10000
local LARGEST = 2 ^ 17

-- The same numbers in every language: no product reaches 2^53.
local function numbers(seed)
  local state = seed
  return function(below)
    state = state * 16807 % 2147483647
    return state % below
  end
end

-- As zlib's.
local function adler32(data, sum)
  local byte = string.byte
  local a, b = sum % 65536, math.floor(sum / 65536)
  for first = 1, #data, 4096 do -- before the sums are too large
    for i = first, math.min(first + 4095, #data) do
      a = a + byte(data, i)
      b = b + a
    end
    a, b = a % 65521, b % 65521
  end
  return b * 65536 + a
end

-- Over the messages and their sizes.
local function checksum()
  local sum, total = 1, 0
  return {
    add = function(message)
      sum = adler32(message, adler32(#message .. ":", sum))
      total = total + #message
    end,
    text = function()
      return ("%d messages, %d bytes, %08x"):format(MESSAGES, total, sum)
    end,
  }
end

-- Puts messages of mixed sizes, then one with their checksum.
function peer.put_stream(handle, seed)
  local below, sum = numbers(seed), checksum()
  local bytes = {}
  for i = 1, 2 * LARGEST do
    bytes[i] = string.char(below(256))
  end
  local block = table.concat(bytes)
  for _ = 1, MESSAGES do
    local offset = below(LARGEST)
    local bits = math.min(below(18), below(18))
    local message = block:sub(offset + 1, offset + below(2 ^ bits))
    assert(handle:put(message))
    sum.add(message)
  end
  assert(handle:put(sum.text()))
end

function peer.get_stream(handle)
  local sum = checksum()
  for _ = 1, MESSAGES do
    sum.add(assert(handle:get()))
  end
  local expected = assert(handle:get())
  if expected ~= sum.text() then
    error(("got %s; the peer put %s"):format(sum.text(), expected))
  end
end

return peer
