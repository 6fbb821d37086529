--- Carries out what the policy of a pool decides: starts, feeds, stops and reaps workers.
-- @module gipc.pool.driver
local Base = require "gipc.policy.driver"
local Member = require "gipc.pool.member"
local Waiting = require "gipc.policy.waiting"
local failure = require "gipc.failure"
local native = require "gipc.native"
local pool_failure = require "gipc.pool.failure"

local actions = {}
local received
local Driver = Base.class(actions)

--- @tparam table setup of pool.options
function Driver.new(setup)
  return Base.make(Driver, {
    setup = setup,
    policy = setup.policy,
    tasks = {}, -- by number; each has payload, options, waiters
    again = {}, -- members that may have messages which no descriptor shows
    closing = {}, -- members whose stream or stdin has ended, and whose process has not
    room = {}, -- signal: a task can be submitted
  })
end

-- ---- Actions ----------------------------------------------------------------------

actions[native.ACTION_START] = function(self, id)
  local member, message, code = Member.start(id, self.setup.launch, self.epoll)
  if not member then
    self.start_message = message
    return failure.check(native.policy_start_failed(self.policy, id, code))
  end
  self.start_message = nil
  self:add(member)
end

-- code: of a put that failed, or nil.
local function put_failed(self, member, code, number)
  if code == native.ENOMEM then
    native.policy_misbehaved(self.policy, member.id)
  elseif code then
    native.policy_refused(self.policy, member.id, number, code)
  end
end

-- The descriptors of a task cannot be sent to its worker, which answers so to speak.  If it
-- is to answer others before, the task waits for that.
local function fail(self, member, number, text, code)
  if not native.policy_is_next(self.policy, member.id, number) then
    return put_failed(self, member, native.EAGAIN, number)
  end
  text = "the worker cannot be sent descriptors: " .. text
  received(self, member, native.worker_encode("F", number, 0, "", "error", text), code)
end

actions[native.ACTION_SEND] = function(self, id, number, _, attempt)
  local member = self.members[id]
  local task = self.tasks[number]
  local message = native.worker_encode("T", number, attempt, task.payload)
  if not task.fds then
    return put_failed(self, member, member:put(number, message), number)
  end
  local code, text = member:put_with(number, message, task.fds)
  if text then
    fail(self, member, number, text, code)
  else
    put_failed(self, member, code, number)
  end
end

actions[native.ACTION_DUMP] = function(self, id)
  if self.setup.launch.dump_signal then
    self.members[id].process:signal(self.setup.launch.dump_signal)
  end
end

-- Why a worker without a task is stopped that waits for one: it sees the end of its
-- stream.
local waits_for_tasks = {
  [native.WHY_RETIRED] = true,
  [native.WHY_IDLE] = true,
  [native.WHY_STOPPED] = true,
  [native.WHY_GAVE_UP] = true,
}

actions[native.ACTION_STOP] = function(self, id, number, why)
  local member = self.members[id]
  if number > 0 or not waits_for_tasks[why] then
    member:terminate()
  else
    member:close_stream()
  end
end

actions[native.ACTION_KILL] = function(self, id)
  self.members[id].process:kill()
end

local function facts_of(self, id)
  local member = self.members[id]
  return member and member:facts() or {}
end

local function finish(task, value, err)
  task.done, task.value, task.err = true, value, err
  task.payload, task.answer = nil, nil
  if task.fds then
    native.close_task_fds(task.fds)
    task.fds = nil
  end
  Waiting.wake(task.waiters)
end

actions[native.ACTION_FINISH] = function(self, id, number, why, attempt)
  local task = self.tasks[number]
  self.tasks[number] = nil
  local facts = facts_of(self, id)
  facts.task, facts.attempt = number, attempt
  local decode = self.setup.launch.decode
  if why == native.WHY_DONE then
    local ok, value = true, task.answer.data
    if decode then
      ok, value = pcall(decode, value)
    end
    finish(task, ok and value, not ok and pool_failure.undecodable(value, facts) or nil)
  elseif why == native.WHY_FAILED then
    finish(task, nil, pool_failure.reported(task.answer, facts, decode))
  else
    finish(task, nil, pool_failure.of(why, facts, task.options.timeout, self.broken))
  end
end

actions[native.ACTION_DRAINED] = function(self)
  Waiting.wake(self.room)
end

actions[native.ACTION_GAVE_UP] = function(self, id)
  self.broken = pool_failure.broken(facts_of(self, id), not self.members[id] and self.start_message)
end

actions[native.ACTION_STOPPED] = function(self)
  self:all_stopped()
  Waiting.wake(self.room)
end

-- ---- Events -----------------------------------------------------------------------

-- code: why it could not be sent its task.
function received(self, member, data, code)
  local kind, number, content, _, class, text, trace = native.policy_received(self.policy, member.id, data)
  if kind == "D" or kind == "F" then
    self.tasks[number].answer = { data = content, type = class, text = text, trace = trace, code = code }
    if self.setup.measures_memory then
      local bytes = native.memory_of(member.pid)
      if bytes then
        failure.check(native.policy_memory(self.policy, member.id, bytes))
      end
    end
  end
end

-- Takes the messages of a worker.  is_last: its process has ended, so these are all.
local function take_all(self, member, is_last)
  self.again[member] = nil
  while not member.closed do
    local data, reason = member:take()
    if data then
      received(self, member, data)
    elseif reason == "wait" then
      return
    elseif reason ~= "yield" then
      member:stream_ended()
      self.closing[member] = true
      native.policy_refused(self.policy, member.id, 0, native.EPIPE)
      if reason == "failed" then
        native.policy_misbehaved(self.policy, member.id)
      end
    elseif not is_last then
      self.again[member] = true
      return
    end
  end
end

function Driver:member_ready(member, kind)
  if kind == Member.STDIN then
    member:stdin_closed()
    self.closing[member] = true
    return failure.check(native.policy_refused(self.policy, member.id, 0, native.EPIPE))
  end
  put_failed(self, member, member:continue_put())
  take_all(self, member)
end

function Driver:member_ended(member)
  take_all(self, member, true)
  self.again[member], self.closing[member] = nil, nil
end

function Driver:own_time()
  local at = math.huge
  for member in pairs(self.closing) do
    at = math.min(at, member.ends_by)
  end
  return at
end

-- A process that ends closes its stream first, so it has some time.
function Driver:work_at_time()
  for member in pairs(self.closing) do
    if native.now() >= member.ends_by then
      self.closing[member] = nil
      native.policy_misbehaved(self.policy, member.id)
    end
  end
end

function Driver:work_again()
  local again = self.again
  self.again = {}
  for member in pairs(again) do
    take_all(self, member)
  end
end

function Driver:has_more()
  return next(self.again) ~= nil
end

return Driver
