--- A process of a service, as its keeper has it.
-- @module gipc.keeper.member
local Base = require "gipc.policy.member"
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"
local process = require "gipc.process"
local trace = require "gipc.policy.trace"

local unpack = table.unpack or rawget(_G, "unpack")

local Member = Base.class()

-- The environment of a start.  Without a socket of its own, a service has not that of this
-- process, whose supervisor would take its messages for those of this process.
local function environment(service, socket)
  local env = { NOTIFY_SOCKET = false, WATCHDOG_USEC = false, WATCHDOG_PID = false }
  for name, value in pairs(service.start.env or {}) do
    env[name] = value
  end
  if socket then
    env.NOTIFY_SOCKET = native.notify_socket_address(socket)
    env.WATCHDOG_PID = false -- the process of the service may not be the one that is started
    env.WATCHDOG_USEC = service.silence and ("%.0f"):format(service.silence * 1e6) or false
  end
  return env
end

local function options_of(service, socket)
  local options = {}
  for name, value in pairs(service.start) do
    options[name] = value
  end
  options.env = environment(service, socket)
  return options
end

-- The results of a function of the program, for this start.
local function results(...)
  return { n = select("#", ...), ... }
end

-- What the child does first: the keeper may send the signal for tracebacks from the first
-- message on.
local function before_work(service)
  local prepare = trace.on(service.dump_signal)
  return prepare and function()
    prepare()
    if service.silence then
      native.report_alive()
    end
  end
end

local function start_function(service, options)
  local args = service.args or {}
  if type(args) == "function" or getmetatable(args) then
    args = results(args())
  end
  return process.start_prepared(before_work(service), options, service.work,
    unpack(args, 1, args.n or #args))
end

local function start_program(service, options)
  options.handles = service.handles and service.handles()
  return process.exec_process(service.argv, options)
end

-- An error of args or handles, or in what they return, is a start that failed.
local function start(service, socket)
  local f = service.work and start_function or start_program
  local ok, started, message, code = pcall(f, service, options_of(service, socket))
  if not ok then
    return nil, failure.text(started), native.EINVAL
  end
  return started, message, code
end

--- Starts a process of a service.
-- @return a member; or nil, message, code
function Member.start(id, service, epoll)
  local socket, message, code
  if service.notifies or service.silence then
    socket, message, code = failure.collecting(native.notify_socket_new)
    if not socket then
      return nil, message, code
    end
  end
  local started, text, failed = start(service, socket)
  if not started then
    return nil, text, failed
  end
  local self = Base.make(Member, id, started, epoll, service.start.stderr == "pipe",
    -- Until a function has a handler for it, the signal for tracebacks would end it.
    { service = service, socket = socket, can_dump = service.argv ~= nil })
  if socket then
    self:watch(native.notify_socket_fd(socket), native.READ, Base.OWN)
  end
  return self
end

--- The next message.
-- @treturn ?number a mask of native.NOTIFY_READY, NOTIFY_ALIVE and NOTIFY_STOPPING; nil:
-- there is none
function Member:take()
  return self.socket and native.notify_socket_receive(self.socket, self.pid)
end

--- What is known of it, and why it was stopped.
function Member:facts()
  local facts = Base.facts(self)
  facts.why = self.why
  return facts
end

--- Releases its descriptors.
function Member:release()
  if self.socket then
    local fd = native.notify_socket_fd(self.socket)
    native.epoll_watch(self.epoll, fd, 0, 0)
    loop.forget(fd)
    native.notify_socket_close(self.socket)
    self.socket = nil
  end
  Base.release(self)
end

return Member
