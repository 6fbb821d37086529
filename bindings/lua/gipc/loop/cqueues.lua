--- Waiting in a coroutine of cqueues.
-- @module gipc.loop.cqueues
local failure = require "gipc.failure"
local generator = require "gipc.generator"

local cqueues = {}

function cqueues.new()
  local library = require "cqueues"
  local condition = require "cqueues.condition"

  -- In another coroutine, the yield of cqueues would be a value for its resumer.
  local function check_own()
    local controller, is_own = library.running()
    if controller and not is_own then
      failure.misuse(generator.misuse)
    end
  end

  local function wait(fd, direction, timeout)
    check_own()
    local pollable = { pollfd = fd, events = direction }
    local ready = library.poll(pollable, timeout)
    -- cqueues keeps the number registered, which may be reused for another file.
    library.cancel(fd)
    return ready == pollable
  end

  local function sleep(seconds)
    check_own()
    library.sleep(seconds)
  end

  local Parking = {}
  Parking.__index = Parking

  function Parking:wait(timeout)
    check_own()
    return self.woken or self.condition:wait(timeout)
  end

  function Parking:wake()
    self.woken = true
    self.condition:signal()
  end

  local function parking()
    return setmetatable({ woken = false, condition = condition.new() }, Parking)
  end

  local function spawn(f)
    library.running():wrap(f)
  end

  return {
    wait = wait,
    sleep = sleep,
    spawn = spawn,
    parking = parking,
    forget = library.cancel,
    active = function()
      return library.running() ~= nil
    end,
  }
end

return cqueues
