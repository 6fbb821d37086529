-- A child in Lua, for a parent in any language; child.c describes its commands.
local gipc = require "gipc"
local peer = require "peer"

local function inherit(name, codec)
  return assert(gipc.inherit(name, { codec = codec or "raw" }))
end

-- Until the end of the stream.
local function echo(handle)
  while true do
    local message, why, code = handle:get()
    if code == gipc.EOF then
      return handle:close()
    elseif code == gipc.EBADMSG then -- a value that this language has not
      message = { refused = why }
    end
    if message == nil then
      error(why)
    end
    assert(handle:put(message))
  end
end

-- FD_CLOEXEC is 02000000 among the flags.
local function check_closed_on_exec(fd)
  local file = assert(io.open("/proc/self/fdinfo/" .. fd))
  local flags = file:read("*a"):match "flags:%s*(%d+)"
  file:close()
  assert(flags:match "[2367]......$", "not closed on exec")
end

local words = {}

function words.script(code)
  local from, to, both = inherit "in", inherit "out", inherit "both"
  local msgpack, json = inherit("msgpack", "msgpack"), inherit("json", "json")
  check_closed_on_exec(from:fd "r")
  check_closed_on_exec(to:fd "w")
  for _, handle in ipairs { both, msgpack, json } do
    check_closed_on_exec(handle:fd "r")
    check_closed_on_exec(handle:fd "w")
  end
  assert(os.getenv "GIPC_HANDLES" == nil, "the variable is left")
  local result = os.execute(os.getenv "GRANDCHILD")
  assert(result == true or result == 0, "something is left for a grandchild")
  local again, _, why = gipc.inherit "in"
  assert(not again and why == gipc.ENOENT, "a handle was inherited twice")

  peer.get_stream(from)
  peer.put_stream(to, 2)
  echo(both)
  echo(msgpack)
  echo(json)
  os.exit(tonumber(code))
end

function words.cut()
  local out = inherit "out"
  out:put "now"
  out:put(("\0"):rep(64 * 1024 * 1024))
end

words["end"] = function()
  echo(inherit "both")
end

function words.absent()
  inherit "nothing"
end

words[arg[1]](arg[2])
