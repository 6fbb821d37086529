--- Carries out what the policy of a pool decides: starts, feeds, stops and reaps workers.
--
-- All of it waits for one descriptor, an epoll of the workers' handles and processes and
-- of a timer; nothing here waits but lead().
-- @module gipc.pool.driver
local Member = require "gipc.pool.member"
local Waiting = require "gipc.pool.waiting"
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"
local pool_failure = require "gipc.pool.failure"

local Driver = {}
Driver.__index = Driver

local TIMER = 0 -- its key; workers are numbered from 1

-- How often the process of a worker is looked at, if the kernel has no pidfd (seconds).
local look_again = 0.05

--- @tparam table setup of pool.options
function Driver.new(setup)
  local self = setmetatable({
    setup = setup,
    policy = setup.policy,
    epoll = failure.check(failure.collecting(native.epoll_new)),
    timer = failure.check(failure.collecting(native.timer_new)),
    members = {}, -- by number
    tasks = {}, -- by number; each has payload, options, waiters
    again = {}, -- members that may have messages which no descriptor shows
    closing = {}, -- members whose stream has ended, and whose process has not
    ended = {}, -- members whose process has ended, until their tasks have
    room = {}, -- signal: a task can be submitted
    stops = {}, -- signal: the pool has stopped
  }, Driver)
  self.waiting = Waiting.new(function(is_over, deadline)
    self:lead(is_over, deadline)
  end)
  failure.check(native.epoll_watch(self.epoll, native.fd_of(self.timer), native.READ, TIMER))
  return self
end

-- ---- Actions ----------------------------------------------------------------------

local actions = {}

actions[native.ACTION_START] = function(self, id)
  local member, message, code = Member.start(id, self.setup.launch, self.epoll)
  if not member then
    self.start_message = message
    return failure.check(native.policy_start_failed(self.policy, id, code))
  end
  self.start_message = nil
  self.members[id] = member
  self.looks = self.looks or not member.process.descriptor
  failure.check(native.policy_started(self.policy, id, member.pid))
end

actions[native.ACTION_SEND] = function(self, id, number, _, attempt)
  local member = self.members[id]
  member.has_task = true
  member:put(native.worker_encode("T", number, attempt, self.tasks[number].payload))
end

actions[native.ACTION_DUMP] = function(self, id)
  if self.setup.dump_signal then
    self.members[id].process:signal(self.setup.dump_signal)
  end
end

actions[native.ACTION_STOP] = function(self, id)
  local member = self.members[id]
  member:stop(member.has_task)
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
  self.stopped = true
  failure.check(native.timer_set(self.timer, 0)) -- the leader returns
  Waiting.wake(self.room)
  Waiting.wake(self.stops)
end

local function set_alarm(self)
  local at = native.policy_next_time(self.policy)
  for member in pairs(self.closing) do
    at = math.min(at, member.closed_at)
  end
  if not self.stopped and at ~= self.alarm then
    self.alarm = at
    failure.check(native.timer_set(self.timer, math.max(0, math.min(at - native.now(), 1e9))))
  end
end

--- Carries out the actions of the policy until there are none.
function Driver:act()
  local kind, id, number, why, attempt = native.policy_next(self.policy)
  while kind do
    actions[kind](self, id, number, why, attempt)
    kind, id, number, why, attempt = native.policy_next(self.policy)
  end
  for i, member in ipairs(self.ended) do
    self.members[member.id] = nil
    self.ended[i] = nil
    member:release()
  end
  set_alarm(self)
end

-- ---- Events -----------------------------------------------------------------------

local function received(self, member, data)
  local kind, number, content, _, class, text, trace = native.policy_received(self.policy, member.id, data)
  if kind == "D" or kind == "F" then
    member.has_task = nil
    self.tasks[number].answer = { data = content, type = class, text = text, trace = trace }
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
  while not member.closed_at do
    local data, reason = member:take()
    if data then
      received(self, member, data)
    elseif reason == "wait" then
      return
    elseif reason ~= "yield" then
      member:stream_ended()
      self.closing[member] = true
      if reason == "failed" then
        native.policy_misbehaved(self.policy, member.id)
      end
    elseif not is_last then
      self.again[member] = true
      return
    end
  end
end

local function end_member(self, member)
  if member.info or member.process:is_alive() then
    return
  end
  take_all(self, member, true)
  self.again[member], self.closing[member] = nil, nil
  member:ended()
  table.insert(self.ended, member)
  failure.check(native.policy_ended(self.policy, member.id, member.process.native))
end

-- A process that ends closes its stream first, so it has some time.
local function stop_closed(self)
  for member in pairs(self.closing) do
    if native.now() >= member.closed_at then
      self.closing[member] = nil
      native.policy_misbehaved(self.policy, member.id)
    end
  end
end

local function look_at_processes(self)
  for _, member in pairs(self.members) do
    end_member(self, member)
  end
end

local function handle_event(self, key)
  if key == TIMER then
    self.alarm = nil -- it is set again, which makes it unreadable
    return stop_closed(self)
  end
  local id, kind = Member.read_key(key)
  local member = self.members[id]
  if not member or member.info then
    return
  elseif kind == Member.PROCESS then
    return end_member(self, member)
  elseif member:ready(kind) then
    take_all(self, member)
  end
end

--- Does all that can be done without waiting.
function Driver:work()
  local again = self.again
  self.again = {}
  for member in pairs(again) do
    take_all(self, member)
  end
  for _, key in ipairs(native.epoll_ready(self.epoll)) do
    handle_event(self, key)
  end
  if self.looks then
    look_at_processes(self)
  end
  self:act()
end

--- Waits in the loop, and works, until is_over() or the deadline.
function Driver:lead(is_over, deadline)
  self:work()
  while not is_over() and not self.stopped do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return
    elseif next(self.again) then
      loop.let_others_run()
    else
      loop.wait(native.fd_of(self.epoll), "r", self.looks and math.min(left or look_again, look_again) or left)
    end
    if not self.released then
      self:work()
    end
  end
end

--- Waits on the loop in use.
function Driver:await(signal, is_over, deadline)
  return self.waiting:await(signal, is_over, deadline)
end

--- Works in the background, if the loop in use can start a coroutine.
function Driver:work_in_background()
  if self.background or self.stopped then
    return
  end
  self.background = loop.spawn(function()
    self:await(self.stops, function()
      return self.stopped
    end)
    self:release()
  end)
end

--- Releases the descriptors of a pool that has stopped, unless another coroutine still
-- waits for them.
function Driver:release()
  if self.stopped and not self.released and not (self.waiting:is_led() and loop.cooperative()) then
    self.released = true
    for _, descriptor in ipairs { self.epoll, self.timer } do
      loop.forget(native.fd_of(descriptor))
      native.close_descriptor(descriptor)
    end
  end
end

return Driver
