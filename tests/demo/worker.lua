-- A worker of the demo in Lua; message.h describes the messages.

local found, demo, why = pcall(function()
  return require("gipc").inherit("demo", { codec = "msgpack" })
end)
if not (found and demo) then
  io.stderr:write((why or demo):match "[^\n]*", "\n")
  os.exit(1)
end

local function kind(byte)
  if byte == "" then
    return "neither"
  end
  return byte:find("%s") and "space" or "word"
end

local function occurrences(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

local function count(chunk, left_out)
  local text = left_out and chunk:gsub(left_out, "") or chunk
  return {
    bytes = #chunk,
    lines = occurrences(text, "\n"),
    words = occurrences(text, "%S+"),
    first = kind(text:sub(1, 1)),
    last = kind(text:sub(-1)),
  }
end

assert(demo:put { language = rawget(_G, "jit") and jit.version or _VERSION })
local rule = demo:get()
if rule then
  local left_out = not rule["unprintable is word"] and "[^%s!-~]+" or nil
  for chunk in demo:messages() do
    assert(demo:put(count(chunk, left_out)))
  end
end
