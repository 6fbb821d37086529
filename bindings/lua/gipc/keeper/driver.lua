--- Carries out what the policy of a keeper decides: starts, stops and reaps services.
-- @module gipc.keeper.driver
local Base = require "gipc.policy.driver"
local Member = require "gipc.keeper.member"
local Waiting = require "gipc.policy.waiting"
local failure = require "gipc.failure"
local keeper_failure = require "gipc.keeper.failure"
local native = require "gipc.native"

local actions = {}
local Driver = Base.class(actions)

--- @tparam table setup of keeper.options
function Driver.new(setup)
  for _, service in ipairs(setup.services) do
    service.starts, service.restarts = 0, 0
    service.running = 0 -- its processes
    service.last = {} -- what is known of the process that ended last
    service.reloads = {} -- signal: a reload has ended
  end
  return Base.make(Driver, {
    policy = setup.policy,
    services = setup.services,
    by_name = setup.by_name,
    on_change = setup.on_change,
    changes = {}, -- those of which the program does not know yet
    readies = {}, -- signal: a service is ready, or is not to be any more
  })
end

-- ---- Changes ----------------------------------------------------------------------

local function changed(self, service, state, facts)
  if self.on_change then
    local change = { service = service.name, state = state }
    for name, value in pairs(facts or {}) do
      change[name] = value
    end
    table.insert(self.changes, change)
  end
end

local function is_ready(self, member)
  changed(self, member.service, "ready", { pid = member.pid })
  Waiting.wake(self.readies)
end

local function tell(self, change)
  local ok, message = xpcall(function()
    self.on_change(change)
  end, function(message)
    return debug.traceback(failure.text(message), 2)
  end)
  if not ok then
    io.stderr:write("gipc: error in on_change: ", message, "\n")
  end
end

--- Tells the program of what has changed, when no action and no call of it is in progress:
-- it may call the keeper.
function Driver:acted()
  while self.changes[1] do
    tell(self, table.remove(self.changes, 1))
  end
end

--- What a call of the program has changed is told in the next turn of the loop.
function Driver:own_time()
  return self.changes[1] and 0 or math.huge
end

-- ---- Actions ----------------------------------------------------------------------

actions[native.ACTION_START] = function(self, id, _, _, _, _, index)
  local service = self.services[index]
  if service.running == 0 and service.starts > 0 then -- otherwise it is a reload
    service.restarts = service.restarts + 1
  end
  service.starts = service.starts + 1
  local member, message, code = Member.start(id, service, self.epoll)
  if not member then
    service.last = { message = message }
    changed(self, service, "not_started", service.last)
    return failure.check(native.policy_start_failed(self.policy, id, code))
  end
  service.running = service.running + 1
  self:add(member)
  changed(self, service, "starting", { pid = member.pid })
  if not service.notifies then
    is_ready(self, member)
  end
end

actions[native.ACTION_DUMP] = function(self, id)
  local member = self.members[id]
  member.why = "silent"
  changed(self, member.service, "silent", { pid = member.pid })
  if member.service.dump_signal and member.can_dump then
    member.process:signal(member.service.dump_signal)
  end
end

actions[native.ACTION_STOP] = function(self, id, _, why)
  local member = self.members[id]
  member.why = keeper_failure.whys[why]
  changed(self, member.service, "stopping", { pid = member.pid, why = member.why })
  member:terminate()
end

actions[native.ACTION_KILL] = function(self, id)
  local member = self.members[id]
  changed(self, member.service, "killed", { pid = member.pid, why = member.why })
  member.process:kill()
end

actions[native.ACTION_FINISHED] = function(self, _, _, _, _, _, index)
  local service = self.services[index]
  service.outcome = "finished"
  changed(self, service, "finished", service.last)
  Waiting.wake(self.readies)
end

actions[native.ACTION_GAVE_UP] = function(self, _, _, _, _, _, index)
  local service = self.services[index]
  service.outcome = "gave_up"
  service.err = keeper_failure.gave_up(service.name, service.last)
  self.err = self.err or service.err
  changed(self, service, "gave_up", service.last)
  Waiting.wake(self.stops) -- a wait ends
  Waiting.wake(self.readies)
end

local function end_reload(self, service, outcome, err)
  service.reload = { err = err }
  changed(self, service, outcome, { message = err and err.message })
  Waiting.wake(service.reloads)
end

actions[native.ACTION_RELOADED] = function(self, _, _, _, _, _, index)
  end_reload(self, self.services[index], "reloaded")
end

actions[native.ACTION_RELOAD_FAILED] = function(self, id, _, _, _, _, index)
  local service, member = self.services[index], self.members[id]
  local facts = member and member:facts() or service.last
  end_reload(self, service, "reload_failed", keeper_failure.reload(service.name, facts))
end

actions[native.ACTION_STOPPED] = function(self)
  self:all_stopped()
  Waiting.wake(self.readies)
  for _, service in ipairs(self.services) do
    service.outcome = service.outcome or "stopped"
    Waiting.wake(service.reloads)
  end
end

-- ---- Events -----------------------------------------------------------------------

local function has(mask, bit)
  return math.floor(mask / bit) % 2 == 1
end

-- So many at a time: a process may send them faster than they are read.
local datagrams = 1000

function Driver:member_ready(member)
  for _ = 1, datagrams do
    local mask = member:take()
    if not mask then
      return
    end
    member.can_dump = true
    if has(mask, native.NOTIFY_READY) and member.service.notifies and not member.is_ready then
      member.is_ready = true
      failure.check(native.policy_ready(self.policy, member.id))
      is_ready(self, member)
    end
    if has(mask, native.NOTIFY_ALIVE) then
      member.why = member.why ~= "silent" and member.why or nil
      failure.check(native.policy_alive(self.policy, member.id))
    end
  end
end

function Driver:member_ended(member)
  self:member_ready(member) -- what it has sent before its end counts
  member.service.running = member.service.running - 1
  member.service.last = member:facts()
  changed(self, member.service, "ended", member.service.last)
end

return Driver
