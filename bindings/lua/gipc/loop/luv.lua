--- Waiting on luv's loop.
-- @module gipc.loop.luv
local luv = {}

local function resume(co)
  if coroutine.status(co) == "dead" then
    return -- it was closed while it waited
  end
  local ok, message = coroutine.resume(co)
  if not ok then
    -- An error in a callback is luv's to report.
    error(debug.traceback(co, tostring(message)), 0)
  end
end

local function close(watcher)
  watcher:stop()
  watcher:close()
end

local function milliseconds(seconds)
  return math.min(math.ceil(seconds * 1000), 2 ^ 31)
end

function luv.new()
  local uv = require "luv"
  local polls = {} -- by descriptor, of which luv allows one each

  local function wait(fd, direction, timeout)
    local co = coroutine.running()
    local poll, timer, ready
    if polls[fd] then
      close(polls[fd]) -- of a coroutine that was closed while it waited
    end
    local function ended(how)
      if polls[fd] == poll then
        polls[fd] = nil
        close(poll)
      end
      if timer then
        close(timer)
      end
      ready = how
      resume(co)
    end
    poll = assert(uv.new_poll(fd))
    polls[fd] = poll
    poll:start(direction, function()
      ended(true)
    end)
    if timeout then
      uv.update_time()
      timer = uv.new_timer()
      timer:start(milliseconds(timeout), 0, function()
        ended(false)
      end)
    end
    coroutine.yield()
    return ready
  end

  local function sleep(seconds)
    local co = coroutine.running()
    local watcher
    local function ended()
      close(watcher)
      resume(co)
    end
    if seconds > 0 then
      uv.update_time()
      watcher = uv.new_timer()
      watcher:start(milliseconds(seconds), 0, ended)
    else
      -- A timer of 0 that starts another one keeps luv from looking at
      -- descriptors.
      watcher = uv.new_idle()
      watcher:start(ended)
    end
    coroutine.yield()
  end

  local function spawn(f)
    resume(coroutine.create(f))
  end

  return { wait = wait, sleep = sleep, spawn = spawn }
end

return luv
