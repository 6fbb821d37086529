-- The native policies of pools and keepers: each scenario of tests/pool, where pool.tsv
-- describes the lines.  How a process ended is not compared: a driver knows its process.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal = support.equal

local words = {
  always = native.RESTART_ALWAYS, on_failure = native.RESTART_ON_FAILURE, never = native.RESTART_NEVER,
  one_for_one = native.ONE_FOR_ONE, rest_for_one = native.REST_FOR_ONE, all_for_one = native.ALL_FOR_ONE,
}
local results = {
  [native.ENOENT] = "gone", [native.EINVAL] = "invalid", [native.ECLOSED] = "closed",
  [native.EPROTOCOL] = "protocol", [native.ELOCKED] = "locked", [native.EDEAD] = "dead",
}
local kinds, whys = {}, {}
for name, value in pairs(native) do
  if name:find "^ACTION_" then
    kinds[value] = name:sub(8):lower()
  elseif name:find "^WHY_" then
    whys[value] = name:sub(5):lower()
  end
end

-- The values of a text like "name=value name=value".
local function numbers(text)
  local found = {}
  for name, value in text:gmatch "([%w_]+)=(%S+)" do
    found[name] = words[value] or tonumber(value)
  end
  return found
end

-- { name =, rules =, services = list of rules, lines = list of { time, event, actions } }
local function scenarios(kind, list)
  local current
  local folder = debug.getinfo(1, "S").source:match "^@(.*/)"
  for line in io.lines(folder .. "../../pool/" .. kind .. ".tsv") do
    local first, second, third = line:match "^([^#\t][^\t]*)\t([^\t]*)\t?([^\t]*)$"
    if first == "scenario" then
      current = { name = second, services = {}, lines = {} }
      table.insert(list, current)
    elseif first == "pool" or first == "keeper" then
      current.rules = numbers(second)
    elseif first == "service" then
      table.insert(current.services, numbers(second))
    elseif first then
      current.has_puts = current.has_puts or second:find "^refused" ~= nil -- which are not played
      table.insert(current.lines, { tonumber(first), second, third })
    end
  end
  return list
end

-- Events by their names: functions of the policy, the tasks that workers have, and the
-- words of the event; they return what the policy returns.
local events = {}

function events.tick()
  return true
end

function events.submit(policy, _, rules)
  rules = numbers(rules or "")
  return native.policy_submit(policy, rules.timeout or 0, rules.priority or 0, rules.retries or 0, rules.retry_for or 0)
end

function events.started(policy, _, worker)
  return native.policy_started(policy, worker, worker + 1000)
end

local function message(kind)
  return function(policy, tasks, worker, failed)
    local task = kind == "D" and (table.remove(tasks[worker] or {}, 1) or 1) or 0
    local data = native.worker_encode(failed and "F" or kind, task)
    local result, text, code = native.policy_received(policy, worker, data)
    if kind == "D" and code == native.ENOENT then
      return true -- also of an answer that is dropped: the driver cannot tell
    end
    return result, text, code
  end
end

for name, kind in pairs { ready = "R", alive = "A", answered = "D" } do
  events[name] = message(kind)
end

local ends = {} -- processes that have ended, by how

function events.ended(policy, _, worker, how)
  how = how or "exit=0"
  if not ends[how] then
    local name, number = how:match "(%a+)=(%d+)"
    ends[how] = assert(gipc.exec_process({ "sh", "-c", name == "exit" and "exit " .. number or "kill -" .. number .. " $$" }))
    while ends[how]:is_alive() do end -- not join(): Lua 5.1 cannot yield within a pcall
  end
  return native.policy_ended(policy, worker, ends[how].native)
end

function events.start_failed(policy, _, worker, errno)
  return native.policy_start_failed(policy, worker, -errno)
end

for _, name in ipairs { "cancel", "stop", "misbehaved", "memory" } do
  events[name] = function(policy, _, ...)
    return native["policy_" .. name](policy, ...)
  end
end

local of_keeper = setmetatable({
  ready = function(policy, _, process) return native.policy_ready(policy, process) end,
  alive = function(policy, _, process) return native.policy_alive(policy, process) end,
  reload = function(policy, _, service) return native.policy_reload(policy, service + 1) end,
  stop = function(policy) return native.policy_stop(policy, 0) end,
}, { __index = events })

local function text(tasks, service_of, kind, worker, task, why, attempt, _, service)
  kind, why = kinds[kind], whys[why]
  local of = service_of and " service=" .. service - 1 or ""
  local by = worker ~= 0 and " worker=" .. worker or ""
  if kind == "start" then
    return "start " .. worker .. of
  elseif kind == "send" then
    tasks[worker] = tasks[worker] or {}
    table.insert(tasks[worker], task)
    return ("send %d to %d attempt=%d"):format(task, worker, attempt)
  elseif kind == "dump" or kind == "stop" or kind == "kill" then
    return ("%s %d %s"):format(kind, worker, why)
  elseif kind == "finish" then
    return ("finish %d %s attempt=%d%s"):format(task, why, attempt, by)
  elseif kind == "drained" or kind == "stopped" then
    return kind
  end
  return kind .. of .. " " .. why .. by
end

-- The result and the actions of an event, as in the last column.
local function outcome(policy, tasks, is_keeper, event)
  local parts, arguments = {}, {}
  local name, rest = event:match "^(%S+) ?(.*)$"
  if name == "next_time" then
    local time = native.policy_next_time(policy)
    return time == math.huge and "forever" or ("%.14g"):format(time)
  elseif name == "submit" then
    arguments[1] = rest
  end
  for word in (name == "submit" and "" or rest):gmatch "%S+" do
    table.insert(arguments, tonumber(word) or word)
  end
  local unpack = table.unpack or unpack -- luacheck: ignore
  for _, each in ipairs(name == "up" and { "started", "ready" } or { name }) do
    local result, _, code = (is_keeper and of_keeper or events)[each](policy, tasks, unpack(arguments))
    parts[1] = result == nil and "= " .. (code and results[code] or "again") or nil
  end
  local action = { native.policy_next(policy) }
  while action[1] do
    table.insert(parts, text(tasks, is_keeper, unpack(action)))
    action = { native.policy_next(policy) }
  end
  return table.concat(parts, "; ")
end

local function play(scenario, is_keeper)
  local policy = is_keeper and native.policy_new_keeper(scenario.rules.strategy, scenario.services)
    or native.policy_new_pool(scenario.rules)
  local tasks = {}
  for _, line in ipairs(scenario.lines) do
    native.stop_clock(line[1])
    local wanted = line[3]:gsub("^= gone$", line[2]:find "^answered" and "" or "%0")
    for _, fact in ipairs { "exit", "signal", "error" } do
      wanted = wanted:gsub(" " .. fact .. "=%d+", "")
    end
    equal(outcome(policy, tasks, is_keeper, line[2]), wanted, scenario.name .. ": " .. line[1] .. " " .. line[2])
  end
end

return function(test)
  local once = support.once(test)

  for _, kind in ipairs { "pool", "keeper" } do
    once("a_driver_of_a_" .. kind .. "_gets_the_actions_of_each_scenario", function()
      local all = scenarios(kind, {})
      if kind == "pool" then
        scenarios("pool_ahead", all)
      end
      equal(#all > 15, true, "scenarios")
      local ok, message = pcall(function()
        for _, scenario in ipairs(all) do
          if not scenario.has_puts then
            play(scenario, kind == "keeper")
          end
        end
      end)
      native.stop_clock(-1)
      for how, child in pairs(ends) do
        child:close()
        ends[how] = nil
      end
      assert(ok, message)
    end)
  end
end
