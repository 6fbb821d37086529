--- Tracebacks on a signal, in a child: of the coroutine that runs, and of all others that
-- are known.
--
-- The handler of the signal sets a hook in the coroutine that runs, as that of the
-- program lua does for Ctrl-C.  So it has to know which one that is: coroutine.resume is
-- replaced by one that says so.
-- @module gipc.policy.trace
local failure = require "gipc.failure"
local native = require "gipc.native"

local trace = {}

local function print_all(known)
  local running = coroutine.running()
  local parts = { debug.traceback(("gipc: process %d has given no sign of life"):format(native.this_pid()), 2) }
  for co in pairs(known) do
    if co ~= running and coroutine.status(co) ~= "dead" then
      table.insert(parts, debug.traceback(co, failure.text(co)))
    end
  end
  io.stderr:write(table.concat(parts, "\n"), "\n")
  io.stderr:flush()
end

local function install(signal)
  local known = setmetatable({ [coroutine.running() or false] = true }, { __mode = "k" })
  known[false] = nil -- the main program of Lua 5.1 is no coroutine
  local resume = coroutine.resume

  local function resumed(...)
    native.trace_running()
    return ...
  end
  function coroutine.resume(co, ...) -- luacheck: ignore
    if type(co) == "thread" and coroutine.status(co) == "suspended" then
      known[co] = true
      native.trace_running(co)
    end
    return resumed(resume(co, ...))
  end
  native.trace_on(signal, function() -- one that cannot be handled does what it always does
    print_all(known)
  end)
end

--- What a child is to do first in which a signal prints tracebacks on stderr.
-- @tparam ?number signal nil: none does
-- @treturn ?function
function trace.on(signal)
  return signal and function()
    install(signal)
  end
end

return trace
