--- A worker, as its pool has it: a process and a handle.
-- @module gipc.pool.member
local Base = require "gipc.policy.member"
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local handle = require "gipc.handle"
local native = require "gipc.native"
local process = require "gipc.process"
local trace = require "gipc.policy.trace"
local worker = require "gipc.pool.worker"

local DONE, LENT, WAIT, YIELD = native.DONE, native.LENT, native.WAIT, native.YIELD

local Member = Base.class()

-- How long a process may run on after its stream, or its stdin, has ended (seconds).
Member.closed_for = 5

local function raw_pipe()
  local a, b, code = failure.collecting(native.pipe_duplex)
  if not a then
    return nil, b, code
  end
  return handle.wrap(a, { codec = "raw" }), handle.wrap(b, { codec = "raw" })
end

local function copy(options)
  local copied = {}
  for name, value in pairs(options) do
    copied[name] = value
  end
  return copied
end

local function start_with_pipe(launch)
  local mine, theirs, code = raw_pipe()
  if not mine then
    return nil, theirs, code
  end
  local started, message
  if launch.argv then
    local options = copy(launch.start)
    options.handles = { worker = theirs }
    started, message, code = process.exec_process(launch.argv, options)
  else
    started, message, code = process.start_prepared(trace.on(launch.dump_signal), launch.start,
      worker.serve_and_exit, theirs, launch)
  end
  if not started then
    mine:abort()
    theirs:abort()
    return nil, message, code
  end
  return started, mine
end

-- What the program of the pool does wrong in its function is a start that failed.
local function start_launcher(launch)
  local options = copy(launch.start)
  options.codec = "raw"
  local ok, started, h, code = pcall(function()
    local argv = launch.launcher
    return process.launch(argument.is_callable(argv) and argv() or argv, options)
  end)
  if not ok then
    return nil, failure.text(started), native.EINVAL
  end
  return started, h, code
end

--- Starts a worker.
-- @tparam table launch argv, launcher or work; start: the options
-- @return a member; or nil, message, code
function Member.start(id, launch, epoll)
  local started, h, code = (launch.launcher and start_launcher or start_with_pipe)(launch)
  if not started then
    return nil, h, code
  end
  local self = Base.make(Member, id, started, epoll, launch.start.stderr == "pipe", {
    handle = h,
    writing = false, -- whether it waits for the descriptor to be writable
    has_stdin = launch.launcher ~= nil, -- and it is open
  })
  self:watch(native.fd(h.native, native.READ), native.READ, Base.OWN)
  self:watch_stdin(native.READ)
  return self
end

--- Behind a launcher a worker may close its stdin and live: then the descriptor is readable.
-- @param directions native.READ; or 0: no longer
function Member:watch_stdin(directions)
  local fd = native.fd(self.handle.native, native.WRITE)
  if fd and self.has_stdin then
    self.has_stdin = directions ~= 0
    self:watch(fd, directions, Base.STDIN)
  end
end

-- ---- Putting ----------------------------------------------------------------------

-- Waits for the descriptor to be writable, or no longer.
function Member:watch_writable(wanted)
  if self.writing ~= wanted then
    self.writing = wanted
    local fd = native.fd(self.handle.native, native.WRITE)
    if fd then
      self:watch(fd, wanted and native.WRITE or 0, Base.OWN)
    end
    if not wanted then
      self:watch_stdin(native.READ)
    end
  end
end

local function put_on(self, outcome, _, code)
  if outcome == LENT then
    outcome, _, code = native.put_step(self.handle.native)
  end
  if outcome ~= WAIT then
    self.sending = nil
  end
  self:watch_writable(outcome == WAIT)
  return code
end

--- Starts to put a task.  Its string is kept until it is written.
-- @return nil; or a code: it was not put.  EAGAIN: the one before is not written yet
function Member:put(number, data)
  if self.sending or self.queued then
    return native.EAGAIN
  end
  local outcome, message, code
  self.number, self.sending = number, data
  repeat
    outcome, message, code = native.put_lent(self.handle.native, data)
  until outcome ~= YIELD
  return put_on(self, outcome, message, code)
end

--- Puts a task with descriptors.
-- @return as put; or a code and a message: they cannot be sent
function Member:put_with(number, data, fds)
  if self.sending then
    return native.EAGAIN
  end
  self.number = number
  local written, message, code = native.put_task(self.handle.native, data, fds)
  if written ~= nil then
    self.queued = not written
    self:watch_writable(self.queued)
  end
  return code, message
end

--- Continues that, when the descriptor is ready.
-- @return the same; and the number of the task
function Member:continue_put()
  if self.sending then
    return put_on(self, native.put_step(self.handle.native)), self.number
  elseif self.queued then
    local outcome, _, code = native.flush_step(self.handle.native)
    self.queued = outcome == WAIT
    self:watch_writable(self.queued)
    return code, self.number
  end
end

-- ---- Getting ----------------------------------------------------------------------

--- The next message, without waiting.
-- @return it; or nil, and "wait", "yield" (there may be more), "end" or "failed"
function Member:take()
  local outcome, data, code = native.take(self.handle.native)
  if outcome == DONE then
    return data
  elseif outcome == WAIT or outcome == YIELD then
    return nil, outcome == WAIT and "wait" or "yield"
  end
  return nil, code == native.EOF and "end" or "failed"
end

--- To be called when it has closed its stdin.
function Member:stdin_closed()
  self.ends_by = native.now() + Member.closed_for
  self:watch_stdin(0)
end

--- To be called when the stream has ended, once.
function Member:stream_ended()
  self.closed, self.ends_by = true, native.now() + Member.closed_for
  native.epoll_watch(self.epoll, native.fd(self.handle.native, native.READ), 0, 0)
  self:watch_writable(false)
  self:watch_stdin(0)
end

-- ---- The end ----------------------------------------------------------------------

--- Lets a worker that waits for a task end.
function Member:close_stream()
  self:watch_stdin(0)
  native.shutdown(self.handle.native)
end

--- Releases its descriptors.
function Member:release()
  if not self.closed then
    self:stream_ended()
  end
  self.handle:abort()
  Base.release(self)
end

return Member
