--- A process of a pool or of a keeper, and what waits for it.
-- @module gipc.policy.member
local failure = require "gipc.failure"
local native = require "gipc.native"

local Member = {}
Member.__index = Member

-- What a key of the epoll stands for: the number of the member and one of these.
local KINDS = 4
local PROCESS, STDERR = 1, 2
Member.OWN, Member.PROCESS, Member.STDERR, Member.STDIN = 0, PROCESS, STDERR, 3

-- How many bytes of stderr are kept.
local TAIL = 4096

--- The number of the member, and the kind, of a key.
function Member.read_key(key)
  local kind = key % KINDS
  return (key - kind) / KINDS, kind
end

--- Makes a class of members.
function Member.class()
  local class = setmetatable({}, Member)
  class.__index = class
  return class
end

--- @tparam table self what the member has of its own
-- @tparam boolean pipes_stderr whether its process was started so
function Member.make(class, id, process, epoll, pipes_stderr, self)
  self.id, self.process, self.pid, self.epoll = id, process, process.pid, epoll
  setmetatable(self, class)
  if process.descriptor then
    self:watch(process.descriptor, native.READ, PROCESS)
  end
  if pipes_stderr then
    self.stderr = ""
    -- A handle, so that later members that are functions do not keep it open.
    self.stderr_handle = failure.check(native.open(process:stdio(2), -1, -1))
    self:watch(native.fd(self.stderr_handle, native.READ), native.READ, STDERR)
  end
  return self
end

--- Waits for a descriptor; directions 0: no longer.
function Member:watch(fd, directions, kind)
  failure.check(native.epoll_watch(self.epoll, fd, directions, self.id * KINDS + kind))
end

--- Asks it to end by SIGTERM.
function Member:terminate()
  self.process:terminate()
  self.process:signal "CONT" -- a stopped process cannot handle the signal
end

local function read_stderr(self)
  local fd = native.fd(self.stderr_handle, native.READ)
  local bytes = native.read_some(fd)
  while bytes and bytes ~= "" do
    self.stderr = (self.stderr .. bytes):sub(-TAIL)
    bytes = native.read_some(fd)
  end
  return bytes == ""
end

local function close_stderr(self)
  native.epoll_watch(self.epoll, native.fd(self.stderr_handle, native.READ), 0, 0)
  native.abort_handle(self.stderr_handle)
  self.stderr_handle = nil
end

--- Takes what it has written there, when that is ready.
function Member:take_stderr()
  if self.stderr_handle and read_stderr(self) then
    close_stderr(self)
  end
end

--- What is known of it, for an error.
function Member:facts()
  return { pid = self.pid, exit = self.info, stderr = self.stderr }
end

--- To be called when the process has ended.
function Member:ended()
  self.info = self.process:info()
  if self.stderr_handle then
    read_stderr(self)
    close_stderr(self)
  end
end

--- Releases its process.
function Member:release()
  if self.process.descriptor then
    native.epoll_watch(self.epoll, self.process.descriptor, 0, 0)
  end
  self.process:close()
end

return Member
