--- Pools of workers.
-- @module gipc.pool
local Driver = require "gipc.pool.driver"
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local guard = require "gipc.guard"
local map = require "gipc.pool.map"
local native = require "gipc.native"
local pool_failure = require "gipc.pool.failure"
local pool_options = require "gipc.pool.options"

-- The driver of a pool; an error in another process.
local function usable(pool)
  return Driver.of(pool, "pool")
end

-- ---- Tasks ------------------------------------------------------------------------

--- A job of a pool, as Pool:submit returns it.
-- @type PoolTask
-- @field number the number of the task
local Task = {}
Task.__index = Task
Task.__name = "gipc pool task"

--- Whether the task has ended.
function Task:is_done()
  return self.done == true
end

local function result(task)
  if task.err then
    return nil, task.err, task.err.code
  end
  return task.value
end

--- Waits for the end of the task.
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits indefinitely.  The
-- task goes on after it
-- @return the result; or nil, a TaskError, and its code; or nil, "timeout", code
function Task:join(timeout)
  local deadline = failure.deadline(timeout)
  local driver = usable(self.pool)
  driver:await(self.waiters, function()
    return self.done
  end, deadline)
  if not self.done then
    return failure.timeout()
  end
  return result(self)
end

--- Cancels the task: one that is carried out ends with its worker.
-- @treturn boolean whether it had not ended before
function Task:cancel()
  local driver = usable(self.pool)
  if self.done then
    return false
  end
  native.policy_cancel(driver.policy, self.number)
  driver:act()
  return true
end

function Task:__tostring()
  local state = not self.done and "not done" or self.err and tostring(self.err.message) or "done"
  return ("gipc pool task %.0f: %s"):format(self.number, state)
end

-- What a call waits for.  If its coroutine ends before, the task is cancelled.
local Call = {}
Call.__index = Call

function Call:release()
  if not self.task.done then
    self.task:cancel()
  end
end

-- ---- Pools ------------------------------------------------------------------------

--- A pool of workers; gipc.pool makes one.
-- @type Pool
local Pool = {}
Pool.__index = Pool
Pool.__name = "gipc pool"

-- Sizes of messages: what the library allows by default, with room for a task's header.
local LIMIT = 2 ^ 30 - 64

local function encoded(self, job)
  local launch = self.driver.setup.launch
  local data = job
  if launch.encode then
    local ok
    ok, data = pcall(launch.encode, job)
    if not ok then
      codec.refuse(launch.codec, job, data)
    end
  end
  if type(data) ~= "string" then
    failure.misuse(launch.encode and "the codec did not return a string"
      or "the raw codec takes strings only, not a " .. type(data))
  end
  return data
end

local function closed(driver)
  local err = pool_failure.of(driver.broken and native.WHY_GAVE_UP or native.WHY_STOPPED, {}, nil, driver.broken)
  return nil, err, err.code
end

-- The number of a new task; or nil, error, code.
local function queue(driver, options, waits)
  local number, _, code
  local function try()
    if number or code then
      return true
    end
    number, _, code = native.policy_submit(driver.policy, options.timeout, options.priority, options.retries,
      options.retry_for)
    return number ~= nil or code ~= nil
  end
  if not try() then -- the queue is full
    if not waits then
      return nil, "the queue of the pool is full", native.EAGAIN
    end
    driver:await(driver.room, try)
  end
  if not number then
    return closed(driver)
  end
  return number
end

-- waiters: the signal of the task's end.
local function submit(self, job, chosen, waits, waiters)
  local driver = usable(self)
  local options = pool_options.of_task(chosen, driver.setup.task)
  local payload = encoded(self, job)
  if #payload > LIMIT then
    return nil, ("a job of %d bytes exceeds the limit of 1 GiB"):format(#payload), native.ETOOBIG
  end
  local fds, wrong, why
  if options.fds then
    fds, wrong, why = native.task_fds_new(options.fds)
    if not fds then
      return nil, "the descriptors of the task: " .. wrong, why
    end
  end
  driver:work_in_background()
  local number, err, code = queue(driver, options, waits)
  if not number then
    if fds then
      native.close_task_fds(fds)
    end
    return nil, err, code
  end
  local task = setmetatable({
    number = number,
    pool = self,
    options = options,
    payload = payload,
    fds = fds, -- duplicates, until it has ended
    waiters = waiters or {},
  }, Task)
  driver.tasks[number] = task
  driver:act()
  return task
end

--- Submits a job.  Waits while the queue is full.
-- @param job a value that the codec of the pool encodes
-- @tparam[opt] table options timeout, priority, retries, retry_for; fds: a list of up to 253
-- descriptors or files, of which the worker gets copies, which its work takes with
-- gipc.take_fds(); they can be closed when the call returns.  A task fails with
-- gipc.EOPNOTSUPP if its worker cannot be sent descriptors: it is behind a launcher, for example
-- @treturn PoolTask; or nil, TaskError, code: the pool is stopped, or gave up
function Pool:submit(job, options)
  return submit(self, job, options, true)
end

--- Submits a job, if the queue is not full.
-- @treturn PoolTask; or nil, message, gipc.EAGAIN
function Pool:try_submit(job, options)
  return submit(self, job, options, false)
end

--- Has a worker carry out a job, and waits for its result.  If the coroutine that waits is
-- cancelled, the task is.
-- @tparam[opt] table options as for submit
-- @return the result; or nil, a TaskError, and its code
function Pool:call(job, options)
  local task, err, code = submit(self, job, options, true)
  if not task then
    return nil, err, code
  end
  return guard(setmetatable({ task = task }, Call), Task.join, task)
end

--- Iterates over the results of many jobs.  At most `ahead` jobs are submitted and not
-- returned; the next ones are asked for as results are taken.
-- @param jobs a list, or a function that returns the next job, then nil
-- @tparam[opt] table options those of submit; ordered: whether results come in the order
-- of their jobs (true); ahead (for each worker two, and twice those that it is sent ahead)
-- @treturn function at each call: the number of the job, its result; or its number, nil,
-- a TaskError, code
function Pool:map(jobs, options)
  return map(self, jobs, options, { usable = usable, submit = submit, result = result })
end

--- Stops the pool, and waits until its workers have ended.  Nothing more can be submitted.
-- @tparam[opt] number grace seconds for the tasks that it has, which fail after that; nil,
-- or a negative number, is no limit, and 0 stops all at once
-- @treturn boolean true
function Pool:stop(grace)
  local driver = usable(self)
  if grace ~= nil and (type(grace) ~= "number" or grace ~= grace) then
    failure.misuse("grace is a number of seconds, not " .. failure.describe(grace))
  end
  driver:stop(grace and grace < math.huge and grace or -1)
  return true
end

--- How many workers the pool has at most.
function Pool:size()
  local slot = 0
  while native.policy_worker_stats(usable(self).policy, slot) do
    slot = slot + 1
  end
  return slot
end

local ends = {
  done = native.WHY_DONE,
  failed = native.WHY_FAILED,
  died = native.WHY_DIED,
  poison = native.WHY_POISON,
  timed_out = native.WHY_TIMED_OUT,
  cancelled = native.WHY_CANCELLED,
}

--- Counts of tasks (queued, running, submitted, retries; ended ones: done, failed, died,
-- poison, timed_out, cancelled) and of workers (workers, starting, starts, failures);
-- and per_worker, a list of { pid, state, tasks, task, busy (seconds), memory (bytes) }.
-- @treturn table
function Pool:stats()
  local policy = usable(self).policy
  local counts = failure.check(native.policy_get_stats(policy))
  local stats = { per_worker = {} }
  for name, value in pairs(counts) do
    if type(name) == "string" then
      stats[name] = value
    end
  end
  for name, why in pairs(ends) do
    stats[name] = counts[why]
  end
  local slot = 0
  local one = native.policy_worker_stats(policy, slot)
  while one do
    if one.worker > 0 then
      table.insert(stats.per_worker, {
        pid = one.pid,
        state = Driver.states[one.state],
        tasks = one.tasks,
        task = one.task > 0 and one.task or nil,
        busy = one.busy,
        memory = native.memory_of(one.pid),
      })
    end
    slot = slot + 1
    one = native.policy_worker_stats(policy, slot)
  end
  return stats
end

-- Called at the end of a block on Lua 5.4.  After an error it does not wait for tasks.
function Pool:__close(why)
  if native.this_pid() == self.pid then
    self:stop(why ~= nil and 0 or nil)
  end
end

function Pool:__tostring()
  if native.this_pid() ~= self.pid then
    return "gipc pool: of another process"
  elseif self.driver.stopped then
    return "gipc pool: stopped"
  end
  local stats = self:stats()
  return ("gipc pool: %d workers, %d running, %d queued"):format(stats.workers, stats.running, stats.queued)
end

--- Makes a pool of workers, which are started when there are tasks for them.
-- @tparam table options see README.md
-- @tparam ?function work work(job, assignment) in a worker: its result; or nil and a
-- message, or an error: the task has failed
-- @treturn Pool
return function(options, work)
  local driver = Driver.new(pool_options.of_pool(options, work))
  local pool = setmetatable({ driver = driver, pid = native.this_pid() }, Pool)
  driver:work_in_background()
  driver:act() -- starts the least workers
  return pool
end
