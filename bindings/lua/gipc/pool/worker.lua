--- The worker's side of a pool: gets tasks, and answers each with a result or an error.
-- @module gipc.pool.worker
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local native = require "gipc.native"
local pool_failure = require "gipc.pool.failure"
local scheduler = require "gipc.scheduler"

local worker = {}

--- What the work gets after its job.
-- @type Assignment
-- @field task its number
-- @field attempt 1 for the first
local Assignment = {}
Assignment.__index = Assignment

local serving -- the handle of the pool whose worker this process is

--- Shows that the worker is alive, for the rule `silence`.
-- @return true; or nil, message, code: gipc.ENOENT if this process is not a worker
function worker.alive()
  if not serving or serving:closed() then -- it is closed in a child of a worker
    return nil, "this process is not a worker", native.ENOENT
  end
  return serving:put(native.worker_encode "A")
end

--- Takes the descriptors that came with the task.  Those that are not taken are closed after
-- it.
-- @return a list of numbers, which the task closes; or nil, message, code: gipc.EMFILE if they
-- were lost, gipc.ENOENT if this process is not a worker
function worker.take_fds()
  if not serving or serving:closed() then
    return nil, "this process is not a worker", native.ENOENT
  end
  return serving:take_fds()
end

Assignment.alive, Assignment.take_fds = worker.alive, worker.take_fds

local function failed(task, class, text, trace, data)
  return native.worker_encode("F", task, 0, data or "", class, text, trace or "")
end

local function encoded(chosen, value)
  if chosen.encode then
    return pcall(chosen.encode, value)
  end
  return type(value) == "string", "the raw codec takes strings only, not a " .. type(value)
end

-- The value of an error that is not a string, if it can be encoded.
local function value_of(chosen, thrown)
  if thrown == nil or type(thrown) == "string" or not chosen.encode then
    return nil
  end
  local ok, data = pcall(chosen.encode, thrown)
  return ok and data or nil
end

local function class_of(thrown)
  local class = type(thrown) == "table" and rawget(thrown, "class")
  return type(class) == "string" and class or "error"
end

local function result(chosen, task, value)
  local ok, data = encoded(chosen, value == nil and codec.null or value)
  if not ok then
    local text = chosen.encode and pool_failure.refusal(chosen.codec or "msgpack", value, data) or data
    return failed(task, "error", (text:gsub("^the message", "the result")))
  elseif not chosen.encode then
    data = value
  end
  return native.worker_encode("D", task, 0, data)
end

-- In a task of the scheduler, which keeps the traceback of an error, also on Lua 5.1,
-- where the work could not wait inside a pcall.
local function answer(chosen, work, assignment, data)
  local decoded, job = true, data
  if chosen.decode then
    decoded, job = pcall(chosen.decode, data)
  end
  if not decoded then
    return failed(assignment.task, "error", "the job cannot be decoded: " .. failure.text(job))
  end
  local running = scheduler.start(function()
    return work(job, assignment)
  end)
  local ok, value, message, code = running:join()
  if not ok then
    local thrown = running.failure
    local text = failure.text(class_of(thrown) ~= "error" and rawget(thrown, "message") or thrown)
    -- The traceback begins with the text of the error, which a table has not.
    local trace = running.trace and running.trace:gsub("^table: %w+", function()
      return text
    end)
    return failed(assignment.task, class_of(thrown), text, trace, value_of(chosen, thrown))
  elseif value == nil and message ~= nil then
    return failed(assignment.task, "failure", failure.text(message), nil, value_of(chosen, code))
  end
  return result(chosen, assignment.task, value)
end

local function reply(handle, task, message)
  local done, text, code = handle:put(message)
  if code == native.ETOOBIG then
    done, text, code = handle:put(failed(task, "error", "the result is too large: " .. text))
  end
  return done, text, code
end

--- Serves until the pool closes the stream.
-- @tparam Handle handle raw
-- @tparam function work
-- @tparam table chosen prepare, and the codec: codec, encode, decode
-- @return true; or nil, message, code
function worker.serve(handle, work, chosen)
  serving = handle
  if chosen.prepare then
    chosen.prepare()
  end
  local done, text, code = handle:put(native.worker_encode "R")
  while done do
    local data
    data, text, code = handle:get()
    if data == nil then
      break
    end
    local kind, task, job, attempt = native.worker_decode(data)
    if kind ~= "T" then
      return nil, "the pool sent what is not a task", native.EPROTOCOL
    end
    local assignment = setmetatable({ task = task, attempt = attempt }, Assignment)
    local message = answer(chosen, work, assignment, job)
    native.close_fds(handle.native) -- the next task may be long in coming
    done, text, code = reply(handle, task, message)
  end
  if code == native.EOF or code == native.EPIPE or code == native.ECONNRESET then
    return true -- nobody waits for more
  end
  return nil, text, code
end

--- What a worker that is a function child runs.
-- @tparam table launch work, and what serve() has of it
function worker.serve_and_exit(handle, launch)
  local done, message = worker.serve(handle, launch.work, launch)
  if not done then
    error("gipc: the worker of a pool: " .. message, 0)
  end
end

return worker
