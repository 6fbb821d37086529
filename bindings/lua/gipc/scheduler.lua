--- gipc's own scheduler: tasks are coroutines that wait on a private loop.
--
-- A wait ends once, for whatever reason comes first, and stands in a queue then;
-- a round resumes the tasks of all that stand there.  The main program, or a
-- coroutine of its own inside a task, waits by making rounds.
-- @module gipc.scheduler
local failure = require "gipc.failure"
local native = require "gipc.native"

local unpack = table.unpack or unpack
local scheduler = {}

local directions = { r = native.READ, w = native.WRITE }

-- What a cancelled task gets as an error where it waits.
local cancelled = setmetatable({}, {
  __tostring = function()
    return "cancelled"
  end,
})

local private -- the loop, made when it is first needed
local by_token, watched -- waits that the loop knows, and how many
local queue, first, last -- waits that have ended
local tasks -- by coroutine
local counted -- tasks that run() waits for

--- Forgets everything: a child starts afresh.
function scheduler.reset()
  private = nil
  by_token, watched = {}, 0
  queue, first, last = {}, 1, 0
  tasks, counted = {}, 0
end
scheduler.reset()

-- ---- Waits --------------------------------------------------------------------

local function watch(wait, fd, direction, timeout)
  private = private or native.scheduler_new() or error "gipc: no event loop"
  wait.token = failure.check(
    native.scheduler_watch(private, fd or -1, directions[direction or "r"], timeout or -1)
  )
  by_token[wait.token] = wait
  watched = watched + 1
end

local function forget_token(wait)
  by_token[wait.token] = nil
  wait.token = nil
  watched = watched - 1
end

-- Ends a wait, if nothing has ended it before.
local function finish_wait(wait, outcome)
  if wait.outcome then
    return
  end
  wait.outcome = outcome
  if wait.token then
    native.scheduler_forget(private, wait.token)
    forget_token(wait)
  end
  last = last + 1
  queue[last] = wait
end

-- Moves what the loop knows to be ready to the queue.
local function collect(block)
  if watched == 0 then
    return
  end
  native.scheduler_run(private, block and 1 or 0)
  local token, timed_out = native.scheduler_next(private)
  while token do
    local wait = by_token[token]
    forget_token(wait)
    finish_wait(wait, timed_out == 0 and "ready" or "timeout")
    token, timed_out = native.scheduler_next(private)
  end
end

-- ---- Tasks --------------------------------------------------------------------

--- A coroutine of the scheduler, as gipc.spawn returns it.
-- @type Task
local Task = {}
Task.__index = Task

local function fail(task, message)
  task.failure = message
  task.trace = debug.traceback(task.coroutine, tostring(message))
  if coroutine.close then
    coroutine.close(task.coroutine) -- to-be-closed variables
  end
  if message ~= cancelled and not task.joined then
    io.stderr:write("gipc: error in a task: ", task.trace, "\n")
  end
end

local function finish(task, ok, ...)
  tasks[task.coroutine] = nil
  if not task.background then
    counted = counted - 1
  end
  task.done, task.ok = true, ok
  if ok then
    task.results = { n = select("#", ...), ... }
  else
    fail(task, (...))
  end
  for _, wait in ipairs(task.joiners) do
    finish_wait(wait, "ready")
  end
end

local function resume(task, ...)
  local function resumed(ok, ...)
    if not ok or coroutine.status(task.coroutine) == "dead" then
      finish(task, ok, ...)
    elseif not task.wait then -- a plain yield: the others go first
      task.wait = { task = task }
      finish_wait(task.wait, "ready")
    end
  end
  task.wait = nil
  if coroutine.status(task.coroutine) == "dead" then
    return finish(task, false, cancelled) -- somebody closed it
  end
  resumed(coroutine.resume(task.coroutine, ...))
end

-- Resumes everything whose wait has ended by now.
local function round(block)
  collect(block and first > last)
  if block and first > last and watched == 0 then
    error "gipc: every task waits for another one"
  end
  local stop = last
  while first <= stop do
    local wait = queue[first]
    queue[first] = nil
    first = first + 1
    local task = wait.task
    if task and wait.arguments then
      resume(task, unpack(wait.arguments, 1, wait.arguments.n))
    elseif task then
      resume(task, wait.outcome)
    end
  end
end

local function check_cancelled(task)
  if task.cancelling then
    task.cancelling = nil
    error(cancelled, 0)
  end
end

-- Goes on when the wait has ended: whether it is ready.
local function complete(wait)
  local task = wait.task
  if task then
    task.wait = wait
    local outcome = coroutine.yield()
    check_cancelled(task)
    return outcome == "ready"
  end
  while not wait.outcome do
    round(true)
  end
  return wait.outcome == "ready"
end

local function new_wait()
  local task = tasks[coroutine.running() or false]
  if task then
    check_cancelled(task)
  end
  return { task = task }
end

-- ---- What gipc.loop asks of a loop --------------------------------------------

--- Waits until fd is ready: true, or the time is over: false.
function scheduler.wait(fd, direction, timeout)
  local wait = new_wait()
  if watched == 0 and first > last then
    -- There is nobody else whom the loop could serve meanwhile.
    local ready = native.poll_fd(fd, directions[direction], timeout or -1)
    if ready ~= nil then
      return ready
    end
    -- A signal came (Ctrl-C): its hook runs in the main program.
  end
  watch(wait, fd, direction, timeout)
  return complete(wait)
end

--- Sleeps; with 0 only until the others that are ready have had their turn.
function scheduler.sleep(seconds)
  local wait = new_wait()
  if seconds > 0 then
    watch(wait, nil, nil, seconds)
  else
    finish_wait(wait, "ready")
    if not wait.task then
      return round(false)
    end
  end
  return complete(wait)
end

function scheduler.active()
  return true
end

local function start(f, background, ...)
  if type(f) ~= "function" then
    failure.misuse "a function is needed"
  end
  local task = setmetatable({
    coroutine = coroutine.create(f),
    background = background,
    joiners = {},
  }, Task)
  tasks[task.coroutine] = task
  if not background then
    counted = counted + 1
  end
  task.wait = { task = task, arguments = { n = select("#", ...), ... } }
  finish_wait(task.wait, "ready")
  return task
end

--- Runs f beside everything else; run() does not wait for it.
function scheduler.spawn(f)
  start(f, true)
end

-- ---- What the program calls -----------------------------------------------------

--- Starts f(...) as a task.
-- @treturn Task
function scheduler.start(f, ...)
  return start(f, false, ...)
end

--- Runs f(...) as a task, until that and every other one has ended.
-- @treturn Task which is done
function scheduler.run(f, ...)
  if tasks[coroutine.running() or false] then
    failure.misuse "the scheduler runs already: gipc.spawn starts another task"
  end
  local task = start(f, false, ...)
  task.joined = true
  while counted > 0 do
    round(true)
  end
  return task
end

--- Waits for the end of a task.
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits
-- indefinitely
-- @return true and what its function returned; or nil, message: the error in
-- it, or "cancelled"; or nil, "timeout", code
function Task:join(timeout)
  local deadline = failure.deadline(timeout)
  self.joined = true
  while not self.done do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return failure.timeout()
    end
    local wait = new_wait()
    if left then
      watch(wait, nil, nil, left)
    end
    table.insert(self.joiners, wait)
    complete(wait)
  end
  if self.ok then
    return true, unpack(self.results, 1, self.results.n)
  end
  return nil, tostring(self.failure)
end

--- Ends a task: where it waits it gets the error "cancelled".  A handle that it
-- waited for goes on in order.
-- @treturn boolean whether it had not ended before
function Task:cancel()
  if self.done then
    return false
  end
  local wait = self.wait
  if wait and wait.arguments then -- it has not begun
    wait.task = nil
    finish(self, false, cancelled)
    return true
  end
  self.cancelling = true
  if wait then
    finish_wait(wait, "cancelled")
  end
  return true
end

--- Whether a task has ended.
function Task:is_done()
  return self.done == true
end

function Task:__tostring()
  local state = not self.done and "running" or self.ok and "done" or tostring(self.failure)
  return ("gipc task: %s"):format(state)
end

return scheduler
