--- Child processes and message pipes, in coroutines.
--
-- Results that a program expects to fail are nil, message, code; misuse is an
-- error.  README.md describes all of it.
-- @module gipc
local argument = require "gipc.argument"
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local generator = require "gipc.generator"
local handle = require "gipc.handle"
local keeper = require "gipc.keeper"
local loop = require "gipc.loop"
local native = require "gipc.native"
local overview = require "gipc.overview"
local pool = require "gipc.pool"
local pool_worker = require "gipc.pool.worker"
local process = require "gipc.process"
local scheduler = require "gipc.scheduler"
local template = require "gipc.template"
local transport = require "gipc.transport"
local wait = require "gipc.wait"

local unpack = table.unpack or rawget(_G, "unpack")
local gipc = {}

do
  local version = native.version()
  local floor = math.floor
  gipc._VERSION = ("%d.%d.%d"):format(floor(version / 65536), floor(version / 256) % 256, version % 256)
end

-- ---- Codes of results -----------------------------------------------------------

for _, name in ipairs {
  "EOF", "ETRUNCATED", "EPROTOCOL", "ETOOBIG", "ECLOSED", "ELOCKED", "EWRONGPROC", "EDIRECTION", "EDEAD",
  "ESTATUSLOST", "EBADHANDLES",
} do
  gipc[name] = native[name]
end
for name, code in pairs(native.errors()) do
  gipc[name] = code
end

-- ---- Pipes ----------------------------------------------------------------------

local pipe_options = { duplex = true, codec = true, transport = true }

--- Makes a pipe.
-- @tparam[opt] table options duplex: both ends read and write; codec: "msgpack",
-- "raw", "json" or { encode, decode }; transport: "auto", "plain" or "ring", as for
-- Handle:set_transport; default: that of GIPC_TRANSPORT in the environment, or "auto"
-- @treturn Handle the reader, or one end
-- @treturn Handle the writer, or the other end
function gipc.pipe(options)
  options = handle.check_options(options, pipe_options)
  local a, b, code = failure.collecting(options.duplex and native.pipe_duplex or native.pipe)
  if not a then
    return failure.result(b, code)
  end
  if options.transport ~= nil then
    for _, one in ipairs { a, b } do
      local done, message, refused = transport.choose(one, options.transport, "a pipe")
      if not done then
        return failure.result(message, refused)
      end
    end
  end
  return handle.wrap(a, options), handle.wrap(b, options)
end

local function wrapped(options, native_handle, message, code)
  if not native_handle then
    return failure.result(message, code)
  end
  return handle.wrap(native_handle, options)
end

-- The same for a handle that was there before this program.
local function wrapped_with_transport(options, native_handle)
  local done, message, code = transport.choose(native_handle, options.transport, "the handle")
  return wrapped(options, done and native_handle, message, code)
end

--- Adopts a stream.  On success the handle owns the descriptors.
-- @tparam ?number read_fd
-- @tparam ?number write_fd may be equal to read_fd
-- @tparam[opt] table options codec, transport
-- @treturn Handle
function gipc.open(read_fd, write_fd, options)
  options = handle.check_options(options)
  if read_fd == nil and write_fd == nil then
    failure.misuse "gipc.open takes a descriptor to read from, one to write to, or both"
  end
  read_fd = read_fd ~= nil and argument.integer(read_fd, "read_fd") or -1
  write_fd = write_fd ~= nil and argument.integer(write_fd, "write_fd") or -1
  local number = options.transport ~= nil and transport.number(options.transport) or -1
  local opened, message, code = transport.result("a handle of these descriptors",
    failure.collecting(native.open, read_fd, write_fd, number))
  if code == native.EINVAL then
    failure.misuse(("descriptors %d and %d: one is not a stream, or not open for its direction")
      :format(read_fd, write_fd))
  end
  return wrapped(options, opened, message, code)
end

--- Makes a handle over stdin and stdout.  Afterwards output is printed to stderr, and
-- stdin is empty.
-- @tparam[opt] table options codec, transport
-- @treturn Handle; or nil, message, code: there is none, or stderr is the same
function gipc.stdio(options)
  options = handle.check_options(options)
  local native_handle, message, code = native.stdio()
  if not native_handle then
    return nil, message, code -- the launcher must be changed
  end
  return wrapped_with_transport(options, native_handle)
end

--- Inherits the handle that was passed under a name to this program by exec_process.
-- @tparam string name
-- @tparam[opt] table options codec, transport
-- @treturn Handle; or nil, message, gipc.ENOENT
function gipc.inherit(name, options)
  options = handle.check_options(options)
  local inherited, message, code = native.inherit(argument.string(name, "name"))
  if code == native.EINVAL then
    failure.misuse(("%q is not a valid name of a handle"):format(name))
  end
  if code == native.ENOENT then
    message = ("no handle was passed under the name %q"):format(name)
  end
  if not inherited then
    return failure.result(message, code)
  end
  return wrapped_with_transport(options, inherited)
end

gipc.null = codec.null
gipc.binary = codec.binary
gipc.map = codec.map

-- ---- Processes --------------------------------------------------------------------

gipc.start_process = process.start_process
gipc.exec_process = process.exec_process
gipc.launch = process.launch
gipc.template = template.new

gipc.wait = wait

--- Sets how long the exit of a child waits for queued messages while no byte of them can
-- be written.  Children inherit it.
-- @tparam ?number seconds nil, or a negative number, waits indefinitely; default 60
function gipc.set_exit_timeout(seconds)
  failure.deadline(seconds) -- a wrong one is an error
  failure.check(native.set_exit_timeout(seconds and seconds < math.huge and seconds or -1))
end

--- Kernel features that work on this system.
-- @treturn table pidfd, kept_status, shared_start, close_range, wipe_on_fork,
-- pipe_read, pipe_write: true or false
function gipc.features()
  local mask = failure.check(native.features())
  local features = {}
  for _, name in ipairs {
    "pidfd", "kept_status", "shared_start", "close_range", "wipe_on_fork", "pipe_read", "pipe_write",
  } do
    local bit = native["FEATURE_" .. name:upper()]
    features[name] = math.floor(mask / bit) % 2 == 1
  end
  return features
end

gipc.overview = overview.overview
gipc.trace = overview.trace

-- ---- Loops ------------------------------------------------------------------------

local function own()
  if loop.name() ~= "own" then
    failure.misuse(('gipc.run, spawn and serve need gipc.use "own", not "%s"'):format(loop.name()))
  end
end

--- Runs f(...) on gipc's own scheduler until it and all tasks have ended.
-- @return what f returns; the value of an error in it is raised here, when the
-- other tasks have been cancelled
function gipc.run(f, ...)
  own()
  local task = scheduler.run(f, ...)
  if not task.ok then
    error(task.failure, 0)
  end
  return unpack(task.results, 1, task.results.n)
end

--- Starts f(...) as another task.
-- @treturn Task
function gipc.spawn(f, ...)
  own()
  return scheduler.start(f, ...)
end

--- Like coroutine.wrap, for a generator that uses gipc: the coroutine that calls the
-- generator makes its waits, on any loop.
-- @tparam function f
-- @treturn function the next values that f yields, at each call
gipc.wrap = generator.wrap

--- Sleeps; other coroutines run.
-- @tparam number seconds
function gipc.sleep(seconds)
  if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
    failure.misuse "sleep takes a number of seconds"
  end
  loop.sleep(seconds)
end

--- Chooses the loop that put, get, join and sleep wait on.
-- @param what "own" (the default), "none", "luv", "cqueues", "copas", or
-- { wait = function(fd, direction, timeout) ... end }
function gipc.use(what)
  loop.use(what)
end

-- ---- Pools ------------------------------------------------------------------------

gipc.pool = pool

--- In a program that a pool started as a worker: gets its tasks until the pool ends.
-- @tparam function work as for gipc.pool
-- @tparam[opt] table options prepare: a function that is called first; codec
-- @return true; or nil, message, code: no pool started this program
function gipc.serve(work, options)
  own()
  options = argument.options(options, "the second argument", { prepare = true, codec = true })
  if argument.callable(work, "the work") == nil then
    failure.misuse "gipc.serve takes a function, not nil"
  end
  local encode, decode = codec.find(options.codec)
  local h, message, code = gipc.inherit("worker", { codec = "raw" })
  if code == native.ENOENT then
    h, message, code = gipc.stdio { codec = "raw" }
  end
  if not h then
    return nil, message, code
  end
  return pool_worker.serve(h, work, {
    prepare = argument.callable(options.prepare, "prepare"),
    codec = options.codec,
    encode = encode,
    decode = decode,
  })
end

-- ---- Keepers ----------------------------------------------------------------------

gipc.keep = keeper

local function notified(done, message, code)
  if done then
    return true
  elseif code == nil then
    code = native.EAGAIN
  end
  return nil, code == native.ENOENT and "nobody waits for it: there is no NOTIFY_SOCKET"
    or message or native.strerror(code), code
end

--- Tells the keeper of this process, or another supervisor that understands sd_notify(3),
-- that this service is ready.
-- @return true; or nil, message, gipc.ENOENT: there is none
function gipc.ready()
  return notified(native.report_ready())
end

--- Shows that this process is alive, for the rule `silence`: to the pool whose worker it is,
-- to its keeper, or to another supervisor that understands sd_notify(3).
-- @return true; or nil, message, code: gipc.ENOENT: there is none; gipc.EAGAIN: it has too
-- much to read
function gipc.alive()
  local done, message, code = pool_worker.alive()
  if code == native.ENOENT then
    return notified(native.report_alive())
  end
  return done, message, code
end

--- Takes the descriptors that came with the task which this worker of a pool carries out.
-- Those that are not taken are closed after it.
-- @return a list of numbers, which the task closes; or nil, message, code: gipc.EMFILE: they
-- were lost, because this process had no descriptors left; gipc.ENOENT: it is not a worker
gipc.take_fds = pool_worker.take_fds

loop.use "own"

return gipc
