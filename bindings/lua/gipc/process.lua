--- Child processes.
-- @module gipc.process
local FairLock = require "gipc.fair_lock"
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local handle = require "gipc.handle"
local loop = require "gipc.loop"
local native = require "gipc.native"
local options = require "gipc.options"
local scheduler = require "gipc.scheduler"

local unpack = table.unpack or rawget(_G, "unpack")

--- A child; gipc.start_process and gipc.exec_process make them.
-- @type Process
-- @field pid the process ID
-- @field name the name
local Process = {}
Process.__index = Process
Process.__name = "gipc process"

local function wrap(native_process)
  local fd = native.process_fd(native_process)
  return setmetatable({
    native = native_process,
    pid = native.process_pid(native_process),
    name = native.process_name(native_process),
    descriptor = fd, -- nil if the kernel has no pidfd
    waiting = FairLock.new(),
  }, Process)
end

local function usable(self)
  if not self.native then
    failure.misuse "the process is closed"
  end
  return self.native
end

--- Whether the child runs.
function Process:is_alive()
  return failure.check(native.process_is_alive(usable(self))) == 1
end

--- The exit code.
-- @return nil while the child runs; the exit code, or minus the terminating signal; or
-- nil, message, gipc.ESTATUSLOST if other code in the program reaped the child
function Process:exitcode()
  local code, message, failed = native.process_exitcode(usable(self))
  if code == nil and message then
    return failure.result(message, failed)
  end
  return code
end

-- Without a pidfd, polls with growing pauses: most children that are joined end soon.
local function join_by_looking(self, deadline)
  local pause = 0.001
  while self:is_alive() do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return failure.timeout()
    end
    loop.sleep(math.min(pause, left or pause))
    pause = math.min(pause * 1.5, 0.05)
  end
  return true
end

local function join_locked(self, deadline)
  while self:is_alive() do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return failure.timeout()
    end
    loop.wait(self.descriptor, "r", left)
  end
  return true
end

--- Waits until the child has ended.
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits
-- indefinitely
-- @return true; or nil, "timeout", code
function Process:join(timeout)
  local deadline = failure.deadline(timeout)
  if not self:is_alive() then
    return true
  elseif not self.descriptor then
    return join_by_looking(self, deadline)
  end
  return self.waiting:exclusively(deadline, join_locked, self, deadline)
end

local function signalled(result, message, code)
  if result == nil then
    return failure.result(message, code)
  end
  return true
end

--- Sends a signal to this child only, never to a process that reuses its process ID.
-- @param signal its number, or its name such as "TERM"; 0 only checks
-- @return true; or nil, message, gipc.EDEAD when it has ended
function Process:signal(signal)
  local done, message, code = native.process_signal(usable(self), argument.signal(signal, "signal"))
  if code == native.EINVAL then
    failure.misuse(("there is no signal %s"):format(failure.describe(signal)))
  end
  return signalled(done, message, code)
end

--- Sends a signal to all processes of the process group, which needs `group = "new"`, "session" or "tree".
function Process:signal_group(signal)
  local number = argument.signal(signal, "signal")
  local done, message, code = native.process_signal_group(usable(self), number)
  if code == native.EINVAL then
    failure.misuse 'the process has no group of its own: start it with group = "new", "session" or "tree"'
  end
  return signalled(done, message, code)
end

--- Sends SIGTERM.
function Process:terminate()
  return signalled(native.process_terminate(usable(self)))
end

--- Sends SIGKILL.
function Process:kill()
  return signalled(native.process_kill(usable(self)))
end

local function checked_grace(grace)
  if grace == nil then
    return 5
  elseif type(grace) ~= "number" or not (grace >= 0) then
    failure.misuse("grace is a number of seconds, 0 or more, not " .. failure.describe(grace))
  end
  return grace
end

--- Sends SIGTERM, and SIGKILL if the child still runs after the grace period; waits for
-- its end.
-- @tparam[opt=5] number grace 0 or more; infinite: SIGKILL is never sent
-- @treturn boolean true
function Process:stop(grace)
  grace = checked_grace(grace)
  if self:terminate() then
    self:signal "CONT" -- a stopped child cannot handle the signal
    if not self:join(grace) then
      self:kill()
    end
  end
  return self:join()
end

--- Like stop, for all processes of the process group.
-- @tparam[opt=5] number grace as for stop
-- @return true; or nil, message, gipc.EDEAD when it was joined before
function Process:stop_group(grace)
  grace = checked_grace(grace)
  local done, message, code = self:signal_group "TERM"
  if not done then
    return nil, message, code
  end
  self:signal_group "CONT"
  -- Does not reap the leader: until then the ID of the group is not reused.
  if self.descriptor and grace > 0 then
    loop.wait(self.descriptor, "r", grace < math.huge and grace or nil)
    grace = 0
  end
  return signalled(native.process_stop_group(usable(self), grace))
end

--- The pidfd, which is readable once the child has ended.
-- @return the descriptor; or nil, message, code if the kernel has none
function Process:fd()
  local fd, message, code = native.process_fd(usable(self))
  if fd == nil then
    return failure.result(message, code)
  end
  return fd
end

--- What cqueues.poll and socket.select ask of an object.
function Process:pollfd()
  return (self:fd())
end

Process.getfd = Process.pollfd

function Process:events()
  return "r"
end

--- The parent's end of a standard stream that was started as "pipe".
-- @tparam number which 0, 1 or 2
-- @return a descriptor, which belongs to the caller
function Process:stdio(which)
  which = argument.integer(which, "the number of a stream")
  local fd, message, code = native.process_stdio(usable(self), which)
  if fd == nil then
    return failure.result(message, code)
  end
  return fd
end

local how = {
  [native.STATUS_FROM_WAIT] = "wait",
  [native.STATUS_FROM_KERNEL] = "kernel",
  [native.STATUS_FROM_REPORTED] = "reported",
  [native.STATUS_FROM_CHILD] = "child",
  [native.STATUS_LOST] = "lost",
}

local ended = {
  [native.ENDED_RETURN] = "return",
  [native.ENDED_EXIT] = "exit",
  [native.ENDED_EXCEPTION] = "error",
  [native.ENDED_BEFORE_START] = "before_start",
  [native.ENDED_UNSENT] = "unsent",
}

local trees = {
  [native.TREE_CGROUP] = "cgroup",
  [native.TREE_SUBREAPER] = "subreaper",
  [native.TREE_SESSION] = "session",
}

--- The exit status.
-- @return nil while the child runs; a table with code, signal, core, how (the source of
-- the status: "wait", "kernel", "reported", "child" or "lost"), ended (for a function:
-- "return", "exit", "error", "before_start", or "unsent": it returned or exited, and
-- queued messages could not be written), user, system (seconds) and max_rss (KiB); for
-- `group = "tree"` also tree (what kept its processes together: "cgroup", "subreaper" or
-- "session"), left (processes that the child left when it ended) and killed; a
-- field that is not known is nil
function Process:info()
  local info, message, code = native.process_info(usable(self))
  if info == nil then
    return message and failure.result(message, code) or nil
  end
  local function known(value)
    return value and value >= 0 and value or nil
  end
  return {
    code = known(info.code),
    signal = info.signal > 0 and info.signal or nil,
    core = info.core == 1,
    how = how[info.how],
    ended = ended[info.ended],
    user = known(info.user),
    system = known(info.system),
    max_rss = known(info.max_rss),
    tree = trees[info.tree],
    left = known(info.left),
    killed = known(info.killed),
  }
end

--- Frees the object of a child that has ended.
function Process:close()
  usable(self)
  loop.forget(self.descriptor)
  if self:is_alive() then
    failure.misuse(("process %d is still running: join or stop it before close"):format(self.pid))
  end
  local closed = self.native
  self.native = nil
  native.process_close(closed)
  return true
end

-- Called at the end of a block on Lua 5.4.
function Process:__close()
  if self.native then
    self:stop()
    self:close()
  end
end

function Process:__tostring()
  local state = "closed"
  local _, _, failed = native.process_is_alive(self.native)
  if failed == native.EWRONGPROC then
    state = "of another process"
  elseif self.native then
    local code, lost = self:exitcode()
    state = self:is_alive() and "running" or code and "exit code " .. code or lost
  end
  return ("gipc process %s (%d): %s"):format(self.name, self.pid, state)
end

-- ---- Starting -------------------------------------------------------------------

-- Ends this process like os.exit, without the exit handlers of the parent.
local function exit(code, ended)
  if code == nil or code == true then
    code = 0
  elseif code == false then
    code = 1
  end
  native.exit_child(code, ended or native.ENDED_EXIT)
end

-- Runs f in the child until its end, and before it `prepare`, if that is there, outside of
-- its scheduler.  Inherited coroutines are never resumed, and inherited loops never run.
local function be_child(f, arguments, prepare)
  loop.reset_in_child()
  os.exit = function(code) -- luacheck: ignore
    exit(code) -- without the second argument of os.exit
  end
  -- In no case does this return into the program of the parent.
  local ok, task = xpcall(function()
    if prepare then
      prepare()
    end
    return scheduler.run(f, unpack(arguments, 1, arguments.n))
  end, function(message)
    return debug.traceback(failure.text(message), 2)
  end)
  if not ok then
    io.stderr:write(failure.text(task), "\n")
  elseif not task.ok then
    io.stderr:write(task.trace, "\n")
  end
  local succeeded = ok and task.ok and not scheduler.any_failed()
  exit(succeeded, succeeded and native.ENDED_RETURN or native.ENDED_EXCEPTION)
end

-- The options of a child that calls a function.
local function options_of_call(chosen)
  local native_options = options.build(chosen)
  if chosen.handles then
    failure.misuse "the handles of a function are among its arguments"
  elseif chosen.program then
    failure.misuse "the option program is for exec_process"
  end
  return native_options
end

local function start_prepared(prepare, chosen, f, ...)
  if not argument.is_callable(f) then
    failure.misuse("start_process takes a function, or options and a function, not " .. failure.describe(f))
  end
  local arguments = { n = select("#", ...), ... }
  local native_options = options_of_call(chosen)
  for i = 1, arguments.n do
    if getmetatable(arguments[i]) == handle.Handle then
      options.pass(native_options, nil, arguments[i])
    end
  end
  local process, message, code = failure.collecting(native.fork_process, native_options)
  if process then
    return wrap(process)
  elseif process == nil then
    return failure.result(options.explain(native_options, chosen, "", message), code)
  end
  return be_child(f, arguments, prepare)
end

--- Starts f(...) in a child process.  Handles among the arguments are passed: they are
-- closed in this process.  All other handles are closed in the child.
-- @tparam[opt] table options
-- @tparam function f
-- @treturn Process; or nil, message, code
local function start_process(first, ...)
  if type(first) == "table" and not argument.is_callable(first) then
    if select("#", ...) == 0 then
      failure.misuse "start_process takes a function after the options"
    end
    return start_prepared(nil, first, ...)
  end
  return start_prepared(nil, {}, first, ...)
end

-- The native process, and what else the native call returns; or nil, message, code.
local function run(call, argv, chosen)
  local words = options.words(argv)
  local native_options = options.build(chosen)
  chosen = chosen or {}
  for name, h in pairs(chosen.handles or {}) do
    options.pass(native_options, name, h)
  end
  local process, other, code = failure.collecting(call, words, native_options)
  if process then
    return process, other
  end
  return failure.result(options.explain(native_options, chosen, tostring(argv[1]), other), code)
end

--- Runs a program; never a shell.
-- @tparam table argv the program and its arguments
-- @tparam[opt] table chosen options; handles = { name = handle } are passed
-- @treturn Process; or nil, message, code
local function exec_process(argv, chosen)
  local process, message, code = run(native.exec_process, argv, chosen)
  if process then
    return wrap(process)
  end
  return nil, message, code
end

local launch_options = options.names()
launch_options.stdin, launch_options.stdout = nil, nil
launch_options.codec = true

--- Runs a program behind a launcher, such as ssh, srun or podman run -i, or without one, and
-- makes a handle of its standard input and output, where the program uses gipc.stdio.
-- @tparam table argv the launcher, the program and their arguments
-- @tparam[opt] table chosen codec; and the options of exec_process, but not stdin and stdout
-- @treturn Process; or nil, message, code
-- @treturn Handle
local function launch(argv, chosen)
  local start = {}
  for name, value in pairs(argument.options(chosen, "the second argument", launch_options)) do
    start[name] = value
  end
  local of_handle = handle.check_options { codec = start.codec }
  start.codec = nil
  local process, native_handle, code = run(native.launch, argv, start)
  if process then
    return wrap(process), handle.wrap(native_handle, of_handle)
  end
  return nil, native_handle, code
end

return {
  Process = Process,
  start_process = start_process,
  start_prepared = start_prepared,
  exec_process = exec_process,
  launch = launch,
  wrap = wrap,
  options_of_call = options_of_call,
  be_child = be_child,
}
