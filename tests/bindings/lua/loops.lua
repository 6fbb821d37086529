-- The loops under test: run(f) runs f in a coroutine of one until f has ended,
-- spawn(f) runs another beside it.
local gipc = require "gipc"

local loops = {}

-- f with its error kept.  Lua 5.1 cannot yield across pcall: there the loop reports
-- the error in its own way.
local function kept(f)
  local outcome = {}
  return outcome, function()
    if _VERSION == "Lua 5.1" and not jit then
      f()
      outcome.done = true
    else
      local ok, message = xpcall(f, function(message)
        return type(message) == "string" and debug.traceback(message, 2) or message
      end)
      outcome.done, outcome.failure = ok, not ok and { message } or nil
    end
  end
end

local function settle(outcome)
  if outcome.failure then
    error(outcome.failure[1], 0)
  elseif not outcome.done then
    error("it ended with an error, or waits forever", 0)
  end
end

loops.own = {
  name = "own",
  run = gipc.run,
  spawn = gipc.spawn,
}

loops.none = {
  name = "none",
  run = function(f)
    f()
  end,
  -- nothing can run beside one that blocks
}

loops.luv = {
  name = "luv",
  run = function(f)
    local uv = require "luv"
    uv.new_tcp():close() -- the first one opens a descriptor that the loop keeps
    local outcome, body = kept(f)
    coroutine.wrap(body)()
    uv.run()
    settle(outcome)
  end,
  spawn = function(f)
    coroutine.wrap(f)()
  end,
}

loops.cqueues = {
  name = "cqueues",
  run = function(f)
    local cq = require("cqueues").new()
    local outcome, body = kept(f)
    cq:wrap(body)
    repeat
      local ok, message = cq:step()
      if not ok then
        error(message, 0)
      end
    until outcome.done or outcome.failure or cq:empty()
    while not outcome.failure and not cq:empty() do
      assert(cq:step())
    end
    settle(outcome)
  end,
  spawn = function(f)
    require("cqueues").running():wrap(f)
  end,
}

loops.copas = {
  name = "copas",
  run = function(f)
    local copas = require "copas"
    local outcome, body = kept(f)
    local co = copas.addthread(function()
      copas.setErrorHandler(function(message)
        outcome.failure = { message }
      end)
      body()
    end)
    while coroutine.status(co) ~= "dead" do
      copas.step()
    end
    copas.step(0) -- timers that are not needed any more
    copas.step(0)
    settle(outcome)
  end,
  spawn = function(f)
    require("copas").addthread(f)
  end,
}

-- A loop as a program may have: it polls each wait for a short time.
local waiting = {}
local native = require "gipc.native"

local function run_once(co, wait)
  local ready = native.poll_fd(wait.fd, wait.direction == "r" and native.READ or native.WRITE, 0.001)
  if ready or wait.deadline and native.now() >= wait.deadline then
    waiting[co] = nil
    if coroutine.status(co) == "dead" then
      return -- closed while it waited
    end
    local ok, message = coroutine.resume(co, ready or false)
    if not ok then
      io.stderr:write(debug.traceback(co, tostring(message)), "\n")
    end
  end
end

loops.custom = {
  name = {
    wait = function(fd, direction, timeout)
      local co = coroutine.running()
      waiting[co] = {
        fd = fd,
        direction = direction,
        deadline = timeout and native.now() + timeout,
      }
      return coroutine.yield()
    end,
  },
  run = function(f)
    local outcome, body = kept(f)
    coroutine.wrap(body)()
    while next(waiting) and not outcome.failure do
      local now = {}
      for co, wait in pairs(waiting) do
        now[co] = wait
      end
      for co, wait in pairs(now) do
        if waiting[co] == wait then
          run_once(co, wait)
        end
      end
    end
    settle(outcome)
  end,
  spawn = function(f)
    coroutine.wrap(f)()
  end,
}

return loops
