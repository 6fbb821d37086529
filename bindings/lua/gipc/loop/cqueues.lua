--- Waiting in a coroutine of cqueues.
-- @module gipc.loop.cqueues
local cqueues = {}

function cqueues.new()
  local library = require "cqueues"

  local function wait(fd, direction, timeout)
    local pollable = { pollfd = fd, events = direction }
    local ready = library.poll(pollable, timeout)
    -- It would remember the number, which may be another file's soon.
    library.cancel(fd)
    return ready == pollable
  end

  local function spawn(f)
    library.running():wrap(f)
  end

  return {
    wait = wait,
    sleep = library.sleep,
    spawn = spawn,
    active = function()
      return library.running() ~= nil
    end,
  }
end

return cqueues
