-- A parent in Lua, for a child in any language.
--   parent.lua LANGUAGE COMMAND...
-- COMMAND starts the child.  Each step is named on stdout before it begins.
local gipc = require "gipc"
local golden = require "golden"
local peer = require "peer"

local language = arg[1]
local CODE, SIGKILL = 7, 9

local function step(name)
  print(name)
  io.stdout:flush()
end

-- Starts the child with the handles by their names.
local function start(word, handles)
  local command = { select(2, (table.unpack or unpack)(arg)) }
  for part in word:gmatch "%S+" do
    table.insert(command, part)
  end
  return assert(gipc.exec_process(command, { handles = handles }))
end

local function expect_end(process, wanted)
  assert(process:join())
  local code = process:exitcode()
  assert(code == wanted, "the child ended with " .. tostring(code))
end

local function pipe(codec)
  return gipc.pipe { codec = codec, duplex = true }
end

local function one_way()
  return gipc.pipe { codec = "raw" }
end

local function expect_echo(handle, message)
  assert(handle:put(message))
  assert(handle:get() == message, "the child gave something else back")
end

-- Whether many messages went through a ring, which a stock peer does not know, and the
-- portable half of the library does not have.
local function expect_transport(in_use)
  local plain = language == "stock" or os.getenv "GIPC_TEST_OS" == "posix"
  assert(in_use == (plain and "plain" or "ring"), "in use: " .. in_use)
end

local function expect_values(handle, codec)
  for _, entry in ipairs(golden.entries) do
    if entry.put ~= nil and entry.bytes[codec] then
      assert(handle:put(entry.put))
      local got, why, code = handle:get()
      local may_differ = golden.may_differ(entry, language, codec)
        or golden.may_differ(entry, golden.language, codec)
      if not golden.same(got, entry.got, may_differ) then
        local refused = code == gipc.EBADMSG or type(got) == "table" and got.refused
        assert(may_differ and refused, entry.name .. ": " .. (why or tostring(got)))
      end
    end
  end
  handle:close()
end

local function run_script()
  local into, to = one_way()
  local from, out = one_way()
  local both, their_both = pipe "raw"
  local msgpack, their_msgpack = pipe "msgpack"
  local json, their_json = pipe "json"
  local process = start("script " .. CODE, {
    ["in"] = into,
    out = out,
    both = their_both,
    msgpack = their_msgpack,
    json = their_json,
  })
  peer.put_stream(to, 1)
  peer.get_stream(from)

  step "transport"
  expect_transport(to:stats().transport_out)
  expect_transport(from:stats().transport_in)

  step "large"
  expect_echo(both, "")
  expect_echo(both, ("0123456789abcdef"):rep(4 * 1024 * 1024))
  expect_echo(both, "end")
  both:close()

  step "values"
  expect_values(msgpack, "msgpack")
  expect_values(json, "json")

  step "code"
  expect_end(process, CODE)
end

local function kill_inside_a_message()
  local from, out = one_way()
  local process = start("cut", { out = out })
  assert(from:get() == "now")
  local before = from:stats().bytes_in
  while from:stats().bytes_in == before do
    from:get(0.01)
  end
  process:kill()
  local message, _, code = from:get()
  assert(not message and code == gipc.ETRUNCATED, "a message that was cut is not reported")
  expect_end(process, -SIGKILL)
end

local function close_at_once()
  local both, their_both = pipe "raw"
  local process = start("end", { both = their_both })
  both:close()
  expect_end(process, 0)
end

gipc.run(function()
  step "stream"
  run_script()
  step "cut"
  kill_inside_a_message()
  step "end"
  close_at_once()
end)
