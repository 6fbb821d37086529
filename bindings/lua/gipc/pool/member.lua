--- A worker, as its pool has it: a process, a handle, and what waits for both.
-- @module gipc.pool.member
local failure = require "gipc.failure"
local handle = require "gipc.handle"
local native = require "gipc.native"
local process = require "gipc.process"
local worker = require "gipc.pool.worker"

local DONE, LENT, WAIT, YIELD = native.DONE, native.LENT, native.WAIT, native.YIELD

local Member = {}
Member.__index = Member

-- What a key of the pool's epoll stands for: the number of the worker and one of these.
local KINDS = 4
local HANDLE, PROCESS, STDERR = 0, 1, 2
Member.PROCESS = PROCESS

-- How many bytes of stderr are kept.
local TAIL = 4096

-- How long a process may run on after its stream has ended (seconds).
local CLOSED_FOR = 5

--- The number of the worker, and the kind, of a key.
function Member.read_key(key)
  local kind = key % KINDS
  return (key - kind) / KINDS, kind
end

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
    started, message, code = process.start_process(launch.start, worker.serve_and_exit, theirs, launch)
  end
  if not started then
    mine:abort()
    theirs:abort()
    return nil, message, code
  end
  return started, mine
end

-- A handle of the stdin and stdout of a launcher.
local function start_launcher(launch)
  local started, message, code = process.exec_process(launch.argv, launch.start)
  if not started then
    return nil, message, code
  end
  local out, input = started:stdio(1), started:stdio(0)
  local opened, text, failed = native.open(out, input, -1)
  if not opened then
    native.close_fd(out)
    native.close_fd(input)
    started:kill()
    return nil, text, failed
  end
  return started, handle.wrap(opened, { codec = "raw" })
end

--- Starts a worker.
-- @tparam table launch argv or work, start: the options, is_launcher
-- @return a member; or nil, message, code
function Member.start(id, launch, epoll)
  local started, h, code = (launch.is_launcher and start_launcher or start_with_pipe)(launch)
  if not started then
    return nil, h, code
  end
  local self = setmetatable({
    id = id,
    process = started,
    pid = started.pid,
    handle = h,
    epoll = epoll,
    writing = false, -- whether it waits for the descriptor to be writable
    stderr = launch.start.stderr == "pipe" and "" or nil,
  }, Member)
  self:watch(native.fd(h.native, native.READ), native.READ, HANDLE)
  if started.descriptor then
    self:watch(started.descriptor, native.READ, PROCESS)
  end
  if self.stderr then
    self.stderr_fd = started:stdio(2)
    self:watch(self.stderr_fd, native.READ, STDERR)
  end
  return self
end

function Member:watch(fd, directions, kind)
  failure.check(native.epoll_watch(self.epoll, fd, directions, self.id * KINDS + kind))
end

-- ---- Putting ----------------------------------------------------------------------

-- Waits for the descriptor to be writable, or no longer.
function Member:watch_writable(wanted)
  if self.writing ~= wanted then
    self.writing = wanted
    local fd = native.fd(self.handle.native, native.WRITE)
    if fd then
      self:watch(fd, wanted and native.WRITE or 0, HANDLE)
    end
  end
end

-- A failure is not reported: the worker has ended, and that is.
local function put_on(self, outcome)
  if outcome == LENT then
    outcome = native.put_step(self.handle.native)
  end
  if outcome ~= WAIT then
    self.sending = nil
  end
  self:watch_writable(outcome == WAIT)
end

--- Starts to put a task.  Its string is kept until it is written.
function Member:put(data)
  local outcome
  self.sending = data
  repeat
    outcome = native.put_lent(self.handle.native, data)
  until outcome ~= YIELD
  put_on(self, outcome)
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

--- To be called when the stream has ended, once.
function Member:stream_ended()
  self.closed_at = native.now() + CLOSED_FOR
  native.epoll_watch(self.epoll, native.fd(self.handle.native, native.READ), 0, 0)
  self:watch_writable(false)
end

local function read_stderr(self)
  local bytes = native.read_some(self.stderr_fd)
  while bytes and bytes ~= "" do
    self.stderr = (self.stderr .. bytes):sub(-TAIL)
    bytes = native.read_some(self.stderr_fd)
  end
  return bytes == ""
end

local function close_stderr(self)
  native.epoll_watch(self.epoll, self.stderr_fd, 0, 0)
  native.close_fd(self.stderr_fd)
  self.stderr_fd = nil
end

--- Does what a ready descriptor asks for, but to read messages.
-- @return whether there may be messages
function Member:ready(kind)
  if kind == STDERR then
    if self.stderr_fd and read_stderr(self) then
      close_stderr(self)
    end
  elseif kind == HANDLE and self.sending then
    put_on(self, native.put_step(self.handle.native))
  end
  return kind ~= STDERR
end

-- ---- The end ----------------------------------------------------------------------

--- Asks the worker to end.
function Member:stop(has_task)
  if has_task then
    self.process:terminate()
  else
    native.shutdown(self.handle.native)
  end
end

--- What is known of it, for a failed task.
function Member:facts()
  return { pid = self.pid, exit = self.info, stderr = self.stderr }
end

--- To be called when the process has ended, and its messages have been taken.
function Member:ended()
  self.info = self.process:info()
  if self.stderr_fd then
    read_stderr(self)
    close_stderr(self)
  end
end

--- Releases its descriptors.
function Member:release()
  if self.process.descriptor then
    native.epoll_watch(self.epoll, self.process.descriptor, 0, 0)
  end
  if not self.closed_at then
    self:stream_ended()
  end
  self.handle:abort()
  self.process:close()
end

return Member
