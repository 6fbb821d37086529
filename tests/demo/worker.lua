-- A worker of the demo in Lua; message.h describes the messages.

local found, gipc = pcall(function()
  require "MessagePack" -- the codec needs it
  return require "gipc"
end)
if not found then
  io.stderr:write(gipc:match "[^\n]*", "\n")
  os.exit(1)
end

local left_out = not os.getenv "UNPRINTABLE_IS_WORD" and "[^%s!-~]+"

local function kind(byte)
  if byte == "" then
    return "neither"
  end
  return byte:find "%s" and "space" or "word"
end

local function occurrences(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

assert(gipc.serve(function(chunk)
  local text = left_out and chunk:gsub(left_out, "") or chunk
  return {
    language = rawget(_G, "jit") and jit.version or _VERSION,
    bytes = #chunk,
    lines = occurrences(text, "\n"),
    words = occurrences(text, "%S+"),
    first = kind(text:sub(1, 1)),
    last = kind(text:sub(-1)),
  }
end))
