--- gipc's own scheduler: tasks are coroutines that wait on a private loop.
--
-- A task yields its wait, and its resumer registers the wait with the loop: if a yield is
-- not possible, nothing is registered.  A wait completes once (ready, timeout or
-- cancellation) and is then appended to the run queue.  One pass resumes every task in
-- the run queue.  The main program waits by running passes.
-- @module gipc.scheduler
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local loop = require "gipc.loop"
local native = require "gipc.native"

local unpack = table.unpack or rawget(_G, "unpack")
local scheduler = { waits_in_main = true }

local directions = { r = native.READ, w = native.WRITE }

-- What a cancelled task gets as an error where it waits.
local cancelled = setmetatable({}, {
  __tostring = function()
    return "cancelled"
  end,
})

local private -- the loop, made when it is first needed
local by_token, watched -- waits that the loop knows, and how many
local queue, in_pass -- the run queue, and how many of its waits a pass has not resumed yet
local tasks -- by coroutine
local counted -- tasks that run() waits for
local current -- the task that was resumed last
local any_failed -- whether an error in a task was printed

--- Drops all tasks and waits, in a child.
function scheduler.reset()
  private = nil
  by_token, watched = {}, 0
  queue, in_pass = {}, 0
  tasks, counted = {}, 0
  current, any_failed = nil, false
end
scheduler.reset()

-- ---- Waits --------------------------------------------------------------------

-- fd, direction and timeout, all optional; task: the task that waits; joined: the task
-- whose end completes the wait; outcome: why the wait completed.
local Wait = {}
Wait.__index = Wait

local function forget_token(wait)
  by_token[wait.token] = nil
  wait.token = nil
  watched = watched - 1
end

local function remove(list, item)
  for i = #list, 1, -1 do
    if list[i] == item then
      table.remove(list, i)
      return
    end
  end
end

-- Unregisters a wait.
local function retire(wait)
  if wait.token then
    native.scheduler_forget(private, wait.token)
    forget_token(wait)
  end
  if wait.joined then
    remove(wait.joined.joiners, wait)
  end
end

-- Completes a wait, if it is not complete.  It is queued first, so that an interrupt
-- after that loses nothing.
local function finish_wait(wait, outcome)
  if wait.outcome then
    return
  end
  table.insert(queue, wait)
  wait.outcome = outcome
  retire(wait)
end

-- Called if the coroutine of a task is closed during a wait, or its yield failed.
function Wait:__close()
  if self.registered then
    finish_wait(self, "closed")
  end
end

local function new_loop()
  return native.scheduler_new(), "no event loop can be made", native.EMFILE
end

-- Registers a wait.
local function register(wait)
  if wait.outcome then
    return
  end
  wait.registered = true
  if wait.joined then
    table.insert(wait.joined.joiners, wait)
  end
  if not wait.fd and not wait.timeout then
    return
  end
  private = private or failure.collecting(new_loop)
  local token, message
  if private then
    token, message = native.scheduler_watch(private, wait.fd or -1,
      directions[wait.direction or "r"], wait.timeout or -1)
  end
  if token then
    wait.token = token
    by_token[token] = wait
    watched = watched + 1
  else
    wait.message = message or "no event loop can be made"
    finish_wait(wait, "failed")
  end
end

-- Completes the waits that are ready or timed out.
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
Task.__name = "gipc task"

local function print_failure(task)
  any_failed = true
  io.stderr:write("gipc: error in a task: ", task.trace, "\n")
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
    task.failure = (...)
    task.trace = debug.traceback(task.coroutine, failure.text(task.failure))
    if coroutine.close then
      coroutine.close(task.coroutine) -- to-be-closed variables
    end
    if task.failure ~= cancelled and not task.joined then
      print_failure(task)
    end
  end
  while task.joiners[1] do
    finish_wait(task.joiners[1], "ready")
  end
end

local function resumed(task, ok, ...)
  if not ok or coroutine.status(task.coroutine) == "dead" then
    return finish(task, ok, ...)
  end
  local wait = ...
  if getmetatable(wait) == Wait and wait.task == task then
    task.wait = wait
    register(wait)
  else -- a plain yield: the others run first
    task.wait = setmetatable({ task = task }, Wait)
    finish_wait(task.wait, "ready")
  end
end

local function resume(task, ...)
  task.wait = nil
  if task.done then
    return
  elseif coroutine.status(task.coroutine) == "dead" then
    return finish(task, false, cancelled) -- it was closed
  end
  current = task
  resumed(task, coroutine.resume(task.coroutine, ...))
end

local function is_idle()
  return watched == 0 and in_pass == 0 and not queue[1]
end

-- Runs a pass.
local function pass(block)
  in_pass = 0
  collect(block and not queue[1])
  if block and is_idle() then
    error("gipc: every task waits for another one", 0)
  end
  local ended = queue
  queue = {}
  for i, wait in ipairs(ended) do
    in_pass = #ended - i
    retire(wait)
    local task = wait.task
    if task and task.wait == wait then
      if wait.arguments then
        resume(task, unpack(wait.arguments, 1, wait.arguments.n))
      else
        resume(task, wait.outcome)
      end
    end
  end
end

local function check_cancelled(task)
  if task.cancelling then
    task.cancelling = nil
    error(cancelled, 0)
  end
end

-- The task of this coroutine; nil in the main program and in a coroutine of the program.
-- In a coroutine that a task resumes no pass can run: two nested passes would each wait
-- for the other one.
local function running_task()
  local task = tasks[coroutine.running() or false]
  if not task and current and coroutine.status(current.coroutine) == "normal" then
    failure.misuse(generator.misuse)
  end
  return task
end

local function new_wait(fd, direction, timeout)
  local task = running_task()
  if task then
    check_cancelled(task)
  else
    loop.warn_of_another()
  end
  return setmetatable({ task = task, fd = fd, direction = direction, timeout = timeout }, Wait)
end

local yield_wait = coroutine.yield
if _VERSION >= "Lua 5.4" then
  yield_wait = load([[
    local wait <close> = ...
    return (coroutine.yield(wait))]], debug.getinfo(1, "S").source)
end

-- Blocks until the wait completes.  Returns true if the descriptor is ready, false on a
-- timeout.
local function complete(wait)
  local task = wait.task
  local outcome
  if task then
    loop.check_yieldable()
    outcome = yield_wait(wait)
    check_cancelled(task)
  else
    register(wait)
    while not wait.outcome do
      pass(true)
    end
    outcome = wait.outcome
  end
  if outcome == "failed" then
    failure.misuse(wait.message)
  end
  return outcome == "ready"
end

-- ---- What gipc.loop asks of a loop --------------------------------------------

--- Waits until fd is ready (true), or the timeout expires (false).
function scheduler.wait(fd, direction, timeout)
  local wait = new_wait(fd, direction, timeout)
  if is_idle() and not (wait.task and wait.task.background) then
    -- No other task could run during the wait, and run() does not return before its end.
    local ready = native.poll_fd(fd, directions[direction], timeout or -1)
    if ready ~= nil then
      return ready
    end
    -- After a signal (Ctrl-C) its hook runs in the main program.
  end
  return complete(wait)
end

--- Sleeps; with 0 only until the other tasks that are ready have run.
function scheduler.sleep(seconds)
  local wait = new_wait(nil, nil, seconds > 0 and seconds or nil)
  if seconds <= 0 then
    if is_idle() then
      return -- there are no others
    elseif not wait.task then
      return pass(false)
    end
    finish_wait(wait, "ready")
  end
  complete(wait)
end

-- A wait that only wake or a timeout completes.
local Parking = {}
Parking.__index = Parking

function scheduler.parking()
  return setmetatable({ woken = false }, Parking)
end

function Parking:wait(timeout)
  if self.woken then
    return true
  end
  self.pending = new_wait(nil, nil, timeout)
  return complete(self.pending)
end

function Parking:wake()
  self.woken = true
  if self.pending then
    finish_wait(self.pending, "ready")
  end
end

--- Ends all waits for a descriptor, before it is closed.
function scheduler.forget(fd)
  if private then
    native.scheduler_forget_fd(private, fd)
  end
end

function scheduler.active()
  return true
end

local function start(f, background, ...)
  if type(f) ~= "function" then
    failure.misuse("a task is a function, not " .. failure.describe(f))
  elseif debug.getinfo(f, "S").what == "C" then -- Lua 5.1 takes none for a coroutine
    local c_function = f
    f = function(...)
      return c_function(...)
    end
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
  task.wait = setmetatable({ task = task, arguments = { n = select("#", ...), ... } }, Wait)
  finish_wait(task.wait, "ready")
  return task
end

--- Runs f as a background task, for which run() does not wait.
function scheduler.spawn(f)
  start(f, true)
end

-- ---- What the program calls -----------------------------------------------------

--- Starts f(...) as a task.
-- @treturn Task
function scheduler.start(f, ...)
  return start(f, false, ...)
end

local function run_passes(task)
  while counted > 0 and (task.ok or not task.done) do
    pass(true)
  end
end

-- Cancels all tasks that run() waits for.  Each gets the error in its wait; a task that
-- waits again is not resumed.
local function abandon()
  for _, task in pairs(tasks) do
    if not task.background then
      task.joined = true
      task:cancel()
    end
  end
  pcall(pass, false)
  for _, task in pairs(tasks) do
    if not task.background then
      local wait = task.wait
      if wait then
        wait.task = nil
        finish_wait(wait, "closed")
      end
      finish(task, false, cancelled)
    end
  end
end

--- Runs f(...) as a task, until that and every other one has ended.  After an error in
-- f, or in the main program (Ctrl-C), the others are cancelled.
-- @treturn Task which is done
function scheduler.run(f, ...)
  if running_task() then
    failure.misuse "the scheduler runs already: gipc.spawn starts another task"
  end
  local task = start(f, false, ...)
  task.joined = true
  local ok, message = pcall(run_passes, task)
  if not ok or not task.ok then
    abandon()
  end
  if not ok then
    error(message, 0)
  end
  return task
end

--- Whether a task that nobody joined has failed.
function scheduler.any_failed()
  return any_failed
end

local function join(task, deadline)
  while not task.done do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return failure.timeout()
    end
    local wait = new_wait(nil, nil, left)
    wait.joined = task
    complete(wait)
  end
  if task.ok then
    return true, unpack(task.results, 1, task.results.n)
  elseif task.failure == cancelled then
    return nil, tostring(cancelled)
  end
  return nil, task.failure
end

--- Waits for the end of a task.
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits
-- indefinitely
-- @return true and what its function returned; or nil and the value of the error
-- in it, or "cancelled"; or nil, "timeout", code
function Task:join(timeout)
  local deadline = failure.deadline(timeout)
  self.joined = true
  return generator.outside(join, self, deadline)
end

--- Cancels a task: its wait raises the error "cancelled".  The stream of a handle that
-- the task was using stays in order.
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
  local state = not self.done and "running" or self.ok and "done" or failure.text(self.failure)
  return ("gipc task: %s"):format(state)
end

return scheduler
