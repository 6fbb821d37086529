--- The options of a pool and of its tasks.
-- @module gipc.pool.options
local argument = require "gipc.argument"
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local native = require "gipc.native"
local options = require "gipc.options"
local rules = require "gipc.policy.rules"

local pool_options = {}

local causes = {
  died = native.RETRY_DIED,
  timed_out = native.RETRY_TIMED_OUT,
  failed = native.RETRY_FAILED,
}

local task_options = {}

function task_options.timeout(value)
  if rules.check_number(value, "timeout") <= 0 then
    failure.misuse(("timeout is a number of seconds, more than 0, not %s"):format(value))
  end
  return value < math.huge and value or 0
end

function task_options.priority(value)
  return argument.integer(value, "priority", -2 ^ 31)
end

function task_options.retries(value)
  return argument.integer(value, "retries")
end

function task_options.retry_for(value)
  local mask = 0
  for _, cause in ipairs(argument.list(type(value) == "string" and { value } or value, "retry_for")) do
    local bit = causes[cause] or failure.misuse(
      'retry_for is a list of "died", "timed_out" and "failed", not ' .. failure.describe(cause))
    mask = math.floor(mask / bit) % 2 == 1 and mask or mask + bit
  end
  return mask
end

local call_options = { fds = true }
for name in pairs(task_options) do
  call_options[name] = true
end

local function fds_of(list)
  local fds = {}
  for i, fd in ipairs(argument.list(list or {}, "fds")) do
    fds[i] = argument.fd(fd, "a value of fds")
  end
  return fds[1] and fds
end

--- The options of a task: timeout, priority, retries, retry_for, fds.
-- @tparam ?table chosen
-- @tparam ?table defaults those of the pool
function pool_options.of_task(chosen, defaults)
  if chosen == nil then
    return defaults
  end
  local result = { timeout = defaults.timeout, priority = defaults.priority, retries = defaults.retries,
    retry_for = defaults.retry_for }
  for name, value in pairs(argument.options(chosen, "the options of a task", call_options)) do
    result[name] = name ~= "fds" and task_options[name](value) or nil
  end
  result.fds = fds_of(chosen.fds)
  return result
end

local own = { prepare = true, codec = true, argv = true, launch = true, dump_signal = true }

local function check_start(start, launch)
  for _, name in ipairs { "stdin", "stdout" } do
    if launch.launcher and start[name] then
      failure.misuse(name .. " of a worker behind a launcher is its handle")
    elseif start[name] == "pipe" then
      failure.misuse(name .. ' of a worker is not "pipe": a program behind a launcher is the option launch')
    end
  end
  if start.program and launch.work then
    failure.misuse "the option program needs argv or launch"
  end
  rules.check_start(start)
end

-- What is to be started, and how.
local function launch_of(chosen, work, start)
  local launch = { work = work, argv = chosen.argv, launcher = chosen.launch, start = start }
  launch.prepare = argument.callable(chosen.prepare, "prepare")
  local program = launch.argv or launch.launcher
  if (work == nil) == (program == nil) or launch.argv and launch.launcher then
    failure.misuse "a pool has either a function for its workers, or one of the options argv and launch: a program"
  end
  argument.callable(work, "the work of a pool")
  if program then
    if not argument.is_callable(program) or launch.argv then
      options.words(program)
    end
    if launch.prepare then
      failure.misuse "prepare is an option of gipc.serve in the program of the workers"
    end
  end
  check_start(start, launch)
  launch.dump_signal = rules.dump_signal(chosen.dump_signal, work ~= nil)
  launch.codec = chosen.codec or "msgpack"
  launch.encode, launch.decode = codec.find(chosen.codec)
  return launch
end

local function policy_of(values)
  return rules.policy(rules.of_pool, function()
    return values, ""
  end, native.policy_new_pool(values))
end

--- Sorts the options of a pool.
-- @treturn table policy; launch: what is started; task: the defaults of tasks
function pool_options.of_pool(chosen, work)
  local start_names = options.names()
  start_names.handles = nil
  local values, start, result = {}, {}, { timeout = 0, priority = 0, retries = 0, retry_for = 0 }
  local known = {}
  for _, names in ipairs { rules.of_pool, task_options, own, start_names } do
    for name in pairs(names) do
      known[name] = true
    end
  end
  chosen = argument.options(chosen, "the first argument", known)
  for name, value in pairs(chosen) do
    if rules.of_pool[name] then
      values[rules.of_pool[name]] = rules.check_number(value, name)
      if name == "workers" and value == 0 then -- the default of the policy
        failure.misuse "workers is not valid: 0"
      end
    elseif task_options[name] then
      result[name] = task_options[name](value)
    elseif start_names[name] then
      start[name] = value
    end
  end
  if chosen.launch and (values.ahead or 0) > 0 then
    failure.misuse "ahead is not possible with launch: an answer may be lost in a launcher"
  end
  return {
    policy = policy_of(values),
    ahead = values.ahead or 0,
    launch = launch_of(chosen, work, start),
    task = result,
    measures_memory = values.retire_memory ~= nil and values.retire_memory > 0,
  }
end

return pool_options
