--- Why a service is not kept any more, or was not reloaded.
-- @module gipc.keeper.failure
local how_it_ended = require "gipc.policy.ending"
local native = require "gipc.native"

local keeper_failure = {}

--- A service that the keeper gave up, or whose reload failed: the second result of a wait.
-- @type ServiceError
-- @field class "GaveUp" or "ReloadFailed"
-- @field message
-- @field code gipc.EDEAD
-- @field service its name
-- @field pid of its last process
-- @field exit how that ended, as Process:info() returns it; nil: it could not be started
-- @field why it was stopped, as Service.why; nil: it ended by itself
-- @field stderr the last lines that it wrote there, if that is "pipe"
local ServiceError = {}
ServiceError.__index = ServiceError
ServiceError.__name = "gipc service error"

function ServiceError:__tostring()
  return self.message
end

function ServiceError.__concat(a, b)
  return tostring(a) .. tostring(b)
end

--- Words for a gipc_why; nil: the process ended by itself.
keeper_failure.whys = {
  [native.WHY_SILENT] = "silent",
  [native.WHY_NOT_READY] = "not_ready",
  [native.WHY_RELOAD] = "reload",
  [native.WHY_GROUP] = "group",
  [native.WHY_STOPPED] = "stopped",
  [native.WHY_GAVE_UP] = "gave_up",
}

local causes = {
  silent = "gave no sign of life, and ",
  not_ready = "was not ready in time, and ",
}

-- What is known of the last process.
local function last_of(facts)
  if facts.message then
    return "it cannot be started: " .. facts.message
  end
  local line = facts.stderr and facts.stderr:match "([^\n]+)\n*$"
  return ("its process %s %s%s%s"):format(facts.pid or "", causes[facts.why] or "", how_it_ended(facts.exit),
    line and ": " .. line or "")
end

local function make(class, text, name, facts)
  return setmetatable({
    class = class,
    message = ("service %q %s: %s"):format(name, text, last_of(facts)),
    code = native.EDEAD,
    service = name,
    pid = facts.pid,
    exit = facts.exit,
    why = facts.why,
    stderr = facts.stderr,
  }, ServiceError)
end

--- @tparam table facts of the last process: pid, exit, why, stderr; or message: why it
-- could not be started
function keeper_failure.gave_up(name, facts)
  return make("GaveUp", "was given up", name, facts)
end

function keeper_failure.reload(name, facts)
  return make("ReloadFailed", "was not reloaded", name, facts)
end

return keeper_failure
