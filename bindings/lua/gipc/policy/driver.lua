--- What the drivers of a pool and of a keeper share: they carry out what a policy decides,
-- in the loop in use.
--
-- All of it waits for one descriptor, an epoll of what the members have and of a timer;
-- nothing here waits but lead().
-- @module gipc.policy.driver
local Member = require "gipc.policy.member"
local Waiting = require "gipc.policy.waiting"
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"

local Driver = {}
Driver.__index = Driver

local TIMER = 0 -- its key; members are numbered from 1

-- How often processes are looked at, if the kernel has no pidfd (seconds).
local look_again = 0.05

--- Makes a class of drivers.  It has the functions of actions, by their kind, and its own
-- versions of the methods under "What a class may have of its own".
function Driver.class(actions)
  local class = setmetatable({ actions = actions }, Driver)
  class.__index = class
  return class
end

--- @tparam table self what the driver has of its own; with the policy
function Driver.make(class, self)
  self.epoll = failure.check(failure.collecting(native.epoll_new))
  self.timer = failure.check(failure.collecting(native.timer_new))
  self.members = {} -- by number
  self.ended = {} -- members whose process has ended, until the actions are carried out
  self.stops = {} -- signal: all has stopped
  self.waiting = Waiting.new(function(is_over, deadline)
    self:lead(is_over, deadline)
  end)
  failure.check(native.epoll_watch(self.epoll, native.fd_of(self.timer), native.READ, TIMER))
  return setmetatable(self, class)
end

-- ---- What a class may have of its own ------------------------------------------------

--- To be called when a descriptor of a member is ready.
-- @param kind of the key, but never Member.PROCESS
function Driver:member_ready() end

--- To be called when the process of a member has ended, before the policy knows that.
function Driver:member_ended() end

--- When work_at_time() is to be called, or infinity.
function Driver:own_time()
  return math.huge
end

function Driver:work_at_time() end

--- Does what no descriptor shows.
function Driver:work_again() end

--- Whether that is needed.
function Driver:has_more()
  return false
end

--- To be called in a turn of the loop when the actions have been carried out, and before
-- the descriptors are released.
function Driver:acted() end

-- ---- Actions ----------------------------------------------------------------------

--- Adds a member that was started.
function Driver:add(member)
  self.members[member.id] = member
  self.looks = self.looks or not member.process.descriptor
  failure.check(native.policy_started(self.policy, member.id, member.pid))
end

--- For ACTION_STOPPED.
function Driver:all_stopped()
  self.stopped = true
  failure.check(native.timer_set(self.timer, 0)) -- the leader returns
  Waiting.wake(self.stops)
end

local function set_alarm(self)
  local at = math.min(native.policy_next_time(self.policy), self:own_time())
  if not self.stopped and at ~= self.alarm then
    self.alarm = at
    failure.check(native.timer_set(self.timer, math.max(0, math.min(at - native.now(), 1e9))))
  end
end

local function carry_out(self, kind, ...)
  if kind then
    self.actions[kind](self, ...)
  end
  return kind
end

-- Carries out the actions of the policy until there are none.
local function carry_out_all(self)
  while carry_out(self, native.policy_next(self.policy)) do
  end
  for i, member in ipairs(self.ended) do
    self.members[member.id] = nil
    self.ended[i] = nil
    member:release()
  end
end

--- The same in a call of the program.
function Driver:act()
  carry_out_all(self)
  set_alarm(self)
end

-- ---- Events -----------------------------------------------------------------------

local function end_member(self, member)
  if member.info or member.process:is_alive() then
    return
  end
  member:ended()
  self:member_ended(member)
  table.insert(self.ended, member)
  failure.check(native.policy_ended(self.policy, member.id, member.process.native))
end

local function look_at_processes(self)
  for _, member in pairs(self.members) do
    end_member(self, member)
  end
end

local function handle_event(self, key)
  if key == TIMER then
    self.alarm = nil -- it is set again, which makes it unreadable
    return self:work_at_time()
  end
  local id, kind = Member.read_key(key)
  local member = self.members[id]
  if not member or member.info then
    return
  elseif kind == Member.PROCESS then
    return end_member(self, member)
  elseif kind == Member.STDERR then
    return member:take_stderr()
  end
  return self:member_ready(member, kind)
end

--- Does all that can be done without waiting.
function Driver:work()
  self:work_again()
  for _, key in ipairs(native.epoll_ready(self.epoll)) do
    handle_event(self, key)
  end
  if self.looks then
    look_at_processes(self)
  end
  carry_out_all(self)
  self:acted()
  set_alarm(self)
end

--- Waits in the loop, and works, until is_over() or the deadline.
function Driver:lead(is_over, deadline)
  self:work()
  while not is_over() and not self.stopped do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return
    elseif self:has_more() then
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

--- Waits until all has stopped.
function Driver:await_stop()
  self:await(self.stops, function()
    self:release()
    return self.released
  end)
end

--- Works in the background, if the loop in use can start a coroutine.
function Driver:work_in_background()
  if self.background or self.stopped then
    return
  end
  self.background = loop.spawn(function()
    loop.let_others_run() -- where a coroutine starts in the call
    self:await(self.stops, function()
      return self.stopped
    end)
    self:release()
  end)
end

--- Releases the descriptors when all has stopped, unless another coroutine still waits
-- for them.
function Driver:release()
  if self.stopped and not self.released and not (self.waiting:is_led() and loop.cooperative()) then
    self:acted()
    self.released = true
    for _, descriptor in ipairs { self.epoll, self.timer } do
      loop.forget(native.fd_of(descriptor))
      native.close_descriptor(descriptor)
    end
  end
end

return Driver
