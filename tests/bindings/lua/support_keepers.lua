-- What the tests of keepers share.
local gipc = require "gipc"
local support = require "support"
local equal = support.equal

local shared = {}

-- A keeper for the time of body(keeper, changes); changes is a list of
-- "service state" and, if it is not nil, " why".
function shared.with_keeper(options, body)
  local changes, given = {}, options.on_change
  options.on_change = function(change)
    table.insert(changes, change.service .. " " .. change.state .. (change.why and " " .. change.why or ""))
    if given then
      given(change)
    end
  end
  local keeper = gipc.keep(options)
  body(keeper, changes)
  assert(keeper:stop())
  equal(tostring(keeper), "gipc keeper: stopped")
  for _, service in ipairs(keeper:services()) do
    equal(service.pid, nil)
  end
end

-- Lets the keeper work, also where it cannot in the background.
function shared.until_holds(keeper, condition)
  support.wait_until(function()
    return condition() or not keeper:wait(0.001) and condition()
  end)
end

function shared.until_state(keeper, name, state)
  shared.until_holds(keeper, function()
    return keeper:service(name).state == state
  end)
end

function shared.position(changes, wanted)
  for i, change in ipairs(changes) do
    if change == wanted then
      return i
    end
  end
end

function shared.until_changed(keeper, changes, wanted)
  shared.until_holds(keeper, function()
    return shared.position(changes, wanted) ~= nil
  end)
end

-- A service that runs until it is stopped.
function shared.runs()
  gipc.sleep(60)
end

function shared.ready_and_runs()
  assert(gipc.ready())
  gipc.sleep(60)
end

function shared.exists(pid)
  local state = support.process_state(pid)
  return state ~= nil and state ~= "Z"
end

return shared
