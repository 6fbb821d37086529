--- Rules of pools and services among the options of a program.  The policy checks them.
-- @module gipc.policy.rules
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local native = require "gipc.native"
local options = require "gipc.options"

local rules = {}

local common = {
  "ready_within", "silence", "dump", "grace", "first_delay", "longest_delay", "growth", "jitter", "healthy",
  "window", "limit", "seed",
}

-- Names of the policy by those of the options.
local function names(own, of_one_kind)
  local result = own
  for _, list in ipairs { common, of_one_kind } do
    for _, name in ipairs(list) do
      result[name] = name
    end
  end
  return result
end

rules.of_pool = names({ workers = "most" }, {
  "least", "queue_limit", "queue_low", "retire_tasks", "retire_memory", "idle", "ahead", "poison",
  "prepare_failures",
})
rules.of_service = names({}, { "restart", "notify" })

function rules.check_number(value, what)
  if type(value) ~= "number" or value ~= value then
    failure.misuse(("%s is a number, not %s"):format(what, failure.describe(value)))
  end
  return value
end

--- The policy that native code made, or an error that names the wrong rule.
-- @tparam table known of_pool or of_service
-- @tparam function find find(index): the rules by their names in the policy, and the
-- start of a message about them
function rules.policy(known, find, policy, wrong, code, index)
  if policy then
    return policy
  elseif code ~= native.EINVAL and code ~= native.ENOENT then
    error("gipc: " .. wrong, 0)
  end
  local values, start = find(index)
  local option = wrong
  for shown, name in pairs(known) do
    option = name == wrong and shown or option
  end
  local value = values[wrong]
  failure.misuse(("%s%s is not valid: %s"):format(start, option,
    value ~= nil and failure.describe(value) or "its default does not go with the others"))
end

--- The signal for a dump, or nil.  A function prints tracebacks when it gets it; a program may
-- not know it.
function rules.dump_signal(chosen, is_function)
  local signal = chosen == nil and is_function and "USR1" or chosen or 0
  local number = argument.signal(signal, "dump_signal")
  if number > 64 then
    failure.misuse("dump_signal: there is no signal " .. failure.describe(chosen))
  end
  return number ~= 0 and number or nil
end

--- Checks the options of a start, and makes the members of a pool or keeper daemons.
function rules.check_start(start)
  if start.daemon == nil then
    start.daemon = true
  end
  options.build(start) -- a wrong one is an error here, and not at the first start
end

return rules
