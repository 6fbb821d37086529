--- The options of a keeper and of its services.
-- @module gipc.keeper.options
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local native = require "gipc.native"
local options = require "gipc.options"
local rules = require "gipc.policy.rules"

local keeper_options = {}

local strategies = {
  one_for_one = native.ONE_FOR_ONE,
  rest_for_one = native.REST_FOR_ONE,
  all_for_one = native.ALL_FOR_ONE,
}

local restarts = {
  always = native.RESTART_ALWAYS,
  on_failure = native.RESTART_ON_FAILURE,
  never = native.RESTART_NEVER,
}

-- Rules whose values are no numbers.
local words = {}

function words.restart(value, what)
  return restarts[value]
    or failure.misuse(('%s is "always", "on_failure" or "never", not %s'):format(what, failure.describe(value)))
end

function words.notify(value, what)
  return argument.boolean(value, what) and 1 or 0
end

local own = { work = true, args = true, argv = true, dump_signal = true }

local function names_of_service()
  local known = {}
  for _, names in ipairs { rules.of_service, options.names(), own } do
    for name in pairs(names) do
      known[name] = true
    end
  end
  return known
end

-- Raises errors with the name of the service in front of them.
local function naming(start, f, ...)
  local ok, message = pcall(f, ...)
  if not ok then
    failure.misuse(start .. failure.text(message):gsub("^.-gipc: ", ""))
  end
  return message
end

-- The arguments of a function, or the handles of a program, for each start.
local function check_each_start(service, chosen)
  if chosen.handles ~= nil and not argument.is_callable(chosen.handles) then
    failure.misuse "handles is a function that returns { name = handle } for each start"
  elseif service.work and chosen.handles ~= nil then
    failure.misuse "the handles of a function are among its args"
  elseif service.argv and chosen.args ~= nil then
    failure.misuse "the arguments of a program are in argv"
  elseif chosen.args ~= nil and not argument.is_callable(chosen.args) then
    argument.list(chosen.args, "args, if not a function,")
  end
  service.args, service.handles = chosen.args, chosen.handles
end

local function launch(service, chosen, start)
  service.work, service.argv = argument.callable(chosen.work, "work"), chosen.argv
  if (service.work == nil) == (service.argv == nil) then
    failure.misuse "it has either work, a function, or argv, a program"
  elseif service.argv then
    options.words(service.argv)
  elseif start.program then
    failure.misuse "the option program needs argv"
  end
  check_each_start(service, chosen)
  for _, stream in ipairs { "stdin", "stdout" } do
    if start[stream] == "pipe" then
      failure.misuse(('%s of a service is not "pipe"'):format(stream))
    end
  end
  rules.check_start(start)
end

local function sort(service, chosen, known)
  local start = {}
  for name, value in pairs(argument.options(chosen, "a service", known)) do
    if rules.of_service[name] then
      service.rules[name] = (words[name] or rules.check_number)(value, name)
    elseif not own[name] then
      start[name] = value
    end
  end
  start.handles = nil -- those of each start
  launch(service, chosen, start)
  service.start = start
  service.dump_signal = rules.dump_signal(chosen.dump_signal, service.work ~= nil)
  service.notifies = service.rules.notify == 1
  local silence = service.rules.silence
  service.silence = silence and silence > 0 and silence < math.huge and silence or nil
end

local function services_of(chosen)
  local known, services, by_name = names_of_service(), {}, {}
  for i, one in ipairs(chosen) do
    local name = argument.string(argument.table(one, ("service %d"):format(i)).name, ("the name of service %d"):format(i))
    if by_name[name] then
      failure.misuse(("two services have the name %q"):format(name))
    end
    services[i] = { index = i, name = name, rules = {} }
    by_name[name] = services[i]
    naming(("service %q: "):format(name), sort, services[i], one, known)
  end
  return services, by_name
end

local function policy_of(strategy, services)
  local each = {}
  for i, service in ipairs(services) do
    each[i] = service.rules
  end
  return rules.policy(rules.of_service, function(index)
    return each[index], ("service %q: "):format(services[index].name)
  end, native.policy_new_keeper(strategy, each))
end

--- Sorts the options of a keeper.
-- @treturn table policy, services, by_name, on_change
function keeper_options.of_keeper(chosen)
  local known = { strategy = true, on_change = true }
  for i = 1, #argument.table(chosen, "the first argument", "a table of options and services") do
    known[i] = true
  end
  argument.options(chosen, "the first argument", known)
  local strategy = strategies[chosen.strategy or "one_for_one"]
    or failure.misuse('strategy is "one_for_one", "rest_for_one" or "all_for_one", not '
      .. failure.describe(chosen.strategy))
  if chosen[1] == nil then
    failure.misuse "a keeper has one service at least"
  end
  local services, by_name = services_of(chosen)
  return {
    policy = policy_of(strategy, services),
    services = services,
    by_name = by_name,
    on_change = argument.callable(chosen.on_change, "on_change"),
  }
end

return keeper_options
