-- What the tests share.
local gipc = require "gipc"
local native = require "gipc.native"

local support = {}

-- Lua 5.1 cannot yield inside an iterator, nor across pcall.
support.is_51 = _VERSION == "Lua 5.1" and not jit
support.long = os.getenv "GIPC_TEST_LONG" == "1"

local elsewhere = {}

function support.not_here(reason)
  error(setmetatable({ reason = reason }, elsewhere), 0)
end

function support.does_not_apply(failure)
  return getmetatable(failure) == elsewhere and failure.reason or nil
end

-- A test that depends on no loop: it runs on one of them.
function support.once(test)
  return function(name, body)
    test(name, function()
      if support.loop ~= "own" then
        support.not_here "once for each Lua is enough"
      end
      body()
    end)
  end
end

function support.needs_others()
  if not support.on.spawn then
    support.not_here "nothing runs beside one that blocks"
  end
end

-- ---- Expectations -----------------------------------------------------------------

function support.equal(got, wanted, what)
  if got ~= wanted then
    error(("%s: got %s, wanted %s"):format(what or "value", tostring(got), tostring(wanted)), 2)
  end
end

-- The results of a call that has to fail as a program expects.
function support.fails(code, wanted, value, message, got)
  if value ~= nil or got ~= code or type(message) ~= "string" or not message:find(wanted) then
    error(
      ("got %s, %s, %s; wanted nil, %s, %d"):format(
        tostring(value), tostring(message), tostring(got), wanted, code),
      2
    )
  end
end

-- A call that has to raise, at the line of its caller.
function support.raises(wanted, f, ...)
  local ok, message = pcall(f, ...)
  if ok or not tostring(message):find(wanted) then
    error(("got %s, wanted the error %s"):format(tostring(message), wanted), 2)
  end
end

-- ---- The system ---------------------------------------------------------------------

local function read_file(path)
  local file = io.open(path)
  if not file then
    return ""
  end
  local text = file:read "*a"
  file:close()
  return text
end

function support.pid()
  return tonumber(read_file("/proc/self/stat"):match "^%d+" or 0) -- without /proc
end

-- How many descriptors are open.
function support.descriptors()
  local count = 0
  for fd = 0, 255 do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    if file then
      file:close()
      count = count + 1
    end
  end
  return count
end

function support.children()
  local pid = support.pid()
  return (read_file(("/proc/%d/task/%d/children"):format(pid, pid)):gsub("%s+$", ""))
end

function support.memory()
  return tonumber(read_file("/proc/self/status"):match "VmRSS:%s*(%d+)")
end

-- The state of a process, as proc(5) has it; nil: there is none.
function support.process_state(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local text = file and file:read "*a" -- nil where it has just been reaped
  if file then
    file:close()
  end
  return text and text:match "%) (%a)"
end

-- Whether another process waits in the kernel; an error where it has ended.
function support.sleeps(pid)
  local state = support.process_state(pid)
  assert(state, "there is no such process")
  assert(state ~= "Z", "the process has ended")
  return state == "S"
end

function support.has(module)
  return (pcall(require, module))
end

-- ---- Waiting ------------------------------------------------------------------------

-- Returns when the others wait: what can run does so before a timer ends, on every
-- loop.
function support.settle()
  gipc.sleep(0.001)
end

-- Lets others run until a condition holds.
function support.wait_until(condition)
  local deadline = native.now() + 30
  while not condition() do
    if native.now() > deadline then
      error("it does not happen", 2)
    end
    gipc.sleep(0.001)
  end
end

-- ---- Streams and programs -------------------------------------------------------------

-- What streams carry, and how they break: streams.json, which is one folder up.
function support.streams()
  if not support.has "cjson" then
    support.not_here "no cjson to read the table with"
  end
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)[^/]*/"
  return require("cjson").new().decode(read_file(folder .. "streams.json"))
end

function support.from_hex(hex)
  return (hex:gsub("..", function(byte)
    return string.char(tonumber(byte, 16))
  end))
end

-- A handle, and a file through which any bytes come to it.
function support.raw_stream()
  local cat = assert(gipc.exec_process({ "cat" }, { stdin = "pipe", stdout = "pipe" }))
  local write_fd = assert(cat:stdio(0))
  local handle = assert(gipc.open(cat:stdio(1), nil, { codec = "raw" }))
  local stream = {}
  function stream.write(bytes)
    local file = assert(io.open("/proc/self/fd/" .. write_fd, "w"))
    file:write(bytes)
    file:close()
  end
  -- Whether those bytes are with the handle now.
  function stream.arrived()
    local ready
    repeat
      ready = native.poll_fd(handle:fd "r", native.READ, 60)
    until ready ~= nil -- a signal came
    return ready
  end
  function stream.finish()
    native.close_fd(write_fd)
    assert(cat:join(60))
  end
  return handle, stream
end

-- Runs Lua code in another program of the same interpreter.
function support.program(code, options, ...)
  return assert(gipc.exec_process({ support.interpreter, "-e", code, ... }, options))
end

-- A child whose stderr (or stdout) is read.
function support.output_of(start, which)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  local process = assert(start({ [which or "stderr"] = file }))
  file:close()
  assert(process:join(10))
  local text = read_file(path)
  os.remove(path)
  return text, process:exitcode()
end

function support.echo(h)
  local message = h:get()
  while message ~= nil do
    assert(h:put(message))
    message = h:get()
  end
end

return support
