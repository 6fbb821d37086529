--- Results of many jobs: lazy, and bounded.
-- @module gipc.pool.map
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local native = require "gipc.native"

local Map = {}
Map.__index = Map

local function job_source(jobs)
  if type(jobs) == "table" and not getmetatable(jobs) then
    argument.list(jobs, "jobs")
    local i = 0
    return function()
      i = i + 1
      return jobs[i]
    end
  end
  return argument.callable(jobs, "jobs, if not a list,")
    or failure.misuse "jobs is a list, or a function that returns the next job"
end

-- Submits jobs, as far as it may.  Waits for the queue only if there is nothing else to
-- wait for.
local function submit_more(self)
  while not self.is_last and #self.tasks < self.ahead do
    local job = self.next_job
    if job == nil then
      job = self.source()
    end
    self.next_job = nil
    if job == nil then
      self.is_last = true
      return
    end
    local task, err, code = self.calls.submit(self.pool, job, self.options, #self.tasks == 0, self.waiters)
    if code == native.EAGAIN then
      self.next_job = job
      return
    end
    self.count = self.count + 1
    self.is_last = code == native.ECLOSED
    table.insert(self.tasks, task and { index = self.count, task = task }
      or { index = self.count, task = { done = true, err = type(err) == "table" and err or { message = err, code = code } } })
  end
end

-- The position in the list of the next task to return; nil: it is not done.
local function position(self)
  if self.ordered then
    return self.tasks[1].task.done and 1 or nil
  end
  for i, one in ipairs(self.tasks) do
    if one.task.done then
      return i
    end
  end
end

local function next_result(self)
  submit_more(self)
  if not self.tasks[1] then
    return nil
  end
  local found
  self.calls.usable(self.pool):await(self.waiters, function()
    found = position(self)
    return found ~= nil
  end)
  local one = table.remove(self.tasks, found)
  return one.index, self.calls.result(one.task)
end

-- Lua 5.4 closes what a loop iterates over.
function Map:__close()
  for _, one in ipairs(self.tasks) do
    if not one.task.done then
      one.task:cancel()
    end
  end
end

local names = { timeout = true, priority = true, retries = true, retry_for = true, ordered = true, ahead = true }

--- @tparam table calls of the pool: usable, submit, result
return function(pool, jobs, chosen, calls)
  calls.usable(pool)
  chosen = argument.options(chosen, "the options of map", names)
  local options = {}
  for name, value in pairs(chosen) do
    options[name] = value
  end
  options.ordered, options.ahead = nil, nil
  local self = setmetatable({
    pool = pool,
    source = job_source(jobs),
    calls = calls,
    options = options,
    ordered = chosen.ordered == nil or argument.boolean(chosen.ordered, "ordered"),
    ahead = chosen.ahead and argument.integer(chosen.ahead, "ahead", 1)
      or 2 * (1 + pool.driver.setup.ahead) * pool:size(),
    tasks = {}, -- submitted, and not returned
    waiters = {}, -- signal: one of them has ended
    count = 0,
  }, Map)
  return function()
    local index, value, err, code = next_result(self) -- a tail call hides a loop from loop.check_yieldable
    return index, value, err, code
  end, nil, nil, self
end
