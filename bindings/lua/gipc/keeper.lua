--- Keepers: services that are kept running.
-- @module gipc.keeper
local Driver = require "gipc.keeper.driver"
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local keeper_options = require "gipc.keeper.options"
local native = require "gipc.native"

--- A keeper of services; gipc.keep makes one.
-- @type Keeper
local Keeper = {}
Keeper.__index = Keeper
Keeper.__name = "gipc keeper"

-- The driver of a keeper; an error in another process.
local function usable(keeper)
  return Driver.of(keeper, "keeper")
end

local function find(driver, name)
  return driver.by_name[name] or failure.misuse("the keeper has no service " .. failure.describe(name))
end

--- Waits until no service is kept any more: each has finished, or the keeper is stopped; or
-- until one is given up.  The others run on then, until stop().
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits indefinitely
-- @return true; or nil, a ServiceError of the first service that was given up, its code;
-- or nil, "timeout", code
function Keeper:wait(timeout)
  local deadline = failure.deadline(timeout)
  local driver = usable(self)
  local is_over = driver:await(driver.stops, function()
    driver:release()
    return driver.released or driver.err and not driver.stopped
  end, deadline)
  if not is_over then
    return failure.timeout()
  elseif driver.err then
    return nil, driver.err, driver.err.code
  end
  return true
end

--- Stops the services in reverse order, each by SIGTERM, and by SIGKILL after its grace
-- period; waits until all have ended.
-- @treturn boolean true
function Keeper:stop()
  usable(self):stop(0)
  return true
end

--- Replaces the process of a service: starts another one, and stops the first when the
-- second is ready.  Waits for the second; the service goes on with the first if that
-- fails.
-- @tparam string name
-- @tparam[opt] number timeout seconds; the reload goes on after it
-- @return true; or nil, a ServiceError, its code; or nil, message, code: gipc.EDEAD if no
-- process of it runs, gipc.ELOCKED during another reload; or nil, "timeout", code
function Keeper:reload(name, timeout)
  local deadline = failure.deadline(timeout)
  local driver = usable(self)
  local service = find(driver, name)
  local done, message, code = native.policy_reload(driver.policy, service.index)
  if code == native.EDEAD then
    return nil, ("no process of the service %q runs"):format(name), code
  elseif not done then
    return nil, message, code
  end
  driver:work_in_background()
  service.reload = nil
  driver:act()
  driver:await(service.reloads, function()
    return service.reload or service.outcome
  end, deadline)
  local err = service.reload and service.reload.err
  if not service.reload then
    return failure.timeout()
  elseif err then
    return nil, err, err.code
  end
  return true
end

-- The process of a service that is there, if it is.
local function process_of(driver, service)
  local one = native.policy_worker_stats(driver.policy, service.index - 1)
  local member = one and driver.members[one.worker]
  return member and not member.info and member, one and Driver.states[one.state]
end

local function describe(driver, service)
  local member, state = process_of(driver, service)
  local last = service.last
  return {
    name = service.name,
    state = member and state or service.outcome or "waiting",
    pid = member and member.pid or nil,
    restarts = service.restarts,
    exit = last.exit,
    why = last.why,
    stderr = last.stderr,
    message = last.message,
  }
end

--- What is known of a service: name; state: "waiting" (for its start), "starting",
-- "ready", "silent", "stopping", "killed", "finished", "gave_up" or "stopped"; pid;
-- restarts: how often it was started again; and of the process that ended last: exit, as
-- Process:info() returns it, why it was stopped, stderr; message: why it could not be
-- started.
-- @tparam string name
-- @treturn table
function Keeper:service(name)
  local driver = usable(self)
  return describe(driver, find(driver, name))
end

--- The same of all services, in their order.
function Keeper:services()
  local driver, list = usable(self), {}
  for i, service in ipairs(driver.services) do
    list[i] = describe(driver, service)
  end
  return list
end

local is_up = { ready = true, silent = true, finished = true }

local function are_ready(driver)
  for _, service in ipairs(driver.services) do
    if not is_up[describe(driver, service).state] then
      return false
    end
  end
  return true
end

--- Waits until each service is ready, or has finished.
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits indefinitely
-- @return true; or nil, a ServiceError of the first service that was given up, its code;
-- or nil, message, gipc.ECLOSED: the keeper is stopped; or nil, "timeout", code
function Keeper:wait_ready(timeout)
  local deadline = failure.deadline(timeout)
  local driver = usable(self)
  local is_over = driver:await(driver.readies, function()
    return driver.stopped or driver.err or are_ready(driver)
  end, deadline)
  if not is_over then
    return failure.timeout()
  elseif driver.err then
    return nil, driver.err, driver.err.code
  elseif not are_ready(driver) then
    return nil, "the keeper is stopped", native.ECLOSED
  end
  return true
end

--- Sends a signal to the process of a service.
-- @return true; or nil, message, gipc.EDEAD
function Keeper:signal(name, signal)
  local driver = usable(self)
  local service = find(driver, name)
  argument.signal(signal, "signal")
  local member = process_of(driver, service)
  if not member then
    return nil, ("no process of the service %q runs"):format(name), native.EDEAD
  end
  return member.process:signal(signal)
end

-- Called at the end of a block on Lua 5.4.
function Keeper:__close()
  if native.this_pid() == self.pid then
    self:stop()
  end
end

function Keeper:__tostring()
  if native.this_pid() ~= self.pid then
    return "gipc keeper: of another process"
  elseif self.driver.stopped then
    return "gipc keeper: stopped"
  end
  local parts = {}
  for i, service in ipairs(self:services()) do
    parts[i] = service.name .. " " .. service.state
  end
  return "gipc keeper: " .. table.concat(parts, ", ")
end

--- Keeps services running.
-- @tparam table options strategy, on_change, and a list of services; see README.md
-- @treturn Keeper
return function(options)
  local driver = Driver.new(keeper_options.of_keeper(options))
  local keeper = setmetatable({ driver = driver, pid = native.this_pid() }, Keeper)
  driver:work_in_background()
  driver:act() -- starts the first service
  return keeper
end
