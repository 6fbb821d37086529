--- Why a task has no result.
-- @module gipc.pool.failure
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local how_it_ended = require "gipc.policy.ending"
local native = require "gipc.native"

local pool_failure = {}

--- A failed task, the second result of a call.
-- @type TaskError
-- @field class "WorkerDied", "TaskTimeout", "TaskCancelled", "PoolClosed", "PoolBroken", or
-- the class of the error in the task: "error", or that of another language
-- @field message
-- @field traceback of the worker, if the task itself failed
-- @field value the value of the error, if that is not a string
-- @field task its number
-- @field attempt 1 for the first
-- @field pid of the worker
-- @field exit how the worker ended, as Process:info() returns it
-- @field stderr the last lines that the worker wrote there, if that is "pipe"
local TaskError = {}
TaskError.__index = TaskError
TaskError.__name = "gipc task error"

function TaskError:__tostring()
  return self.traceback and self.traceback ~= "" and self.traceback or self.message
end

function TaskError.__concat(a, b)
  return tostring(a) .. tostring(b)
end

local function ending(facts)
  return ("worker %s%s"):format(facts.pid and "of process " .. facts.pid .. " " or "", how_it_ended(facts.exit))
end

-- By gipc_why: the class, the code, and the rest of the message.
local causes = {
  [native.WHY_DIED] = { "WorkerDied", native.EDEAD, "its %s" },
  [native.WHY_POISON] = { "WorkerDied", native.EDEAD, "it has ended as many workers as one may: its last %s" },
  [native.WHY_SILENT] = { "WorkerDied", native.EDEAD, "its worker gave no sign of life and was stopped" },
  [native.WHY_PROTOCOL] = { "WorkerDied", native.EDEAD, "its worker sent what it must not send and was stopped" },
  [native.WHY_TIMED_OUT] = { "TaskTimeout", native.ETIMEDOUT, "it took longer than its timeout of %g seconds" },
  [native.WHY_CANCELLED] = { "TaskCancelled", native.ECANCELED, "it was cancelled" },
  [native.WHY_STOPPED] = { "PoolClosed", native.ECLOSED, "the pool is stopped" },
  [native.WHY_GAVE_UP] = { "PoolBroken", native.ECLOSED, "the pool gave up: %s" },
}

local function make(class, code, message, facts)
  local made = { class = class, code = code, message = message }
  for _, name in ipairs { "task", "attempt", "pid", "exit", "stderr" } do
    made[name] = facts[name]
  end
  return setmetatable(made, TaskError)
end

--- The failure of a task by its gipc_why.
-- @tparam table facts task, attempt, and what is known of the worker
-- @tparam ?number timeout of the task
-- @tparam ?table broken why the pool gave up, of pool_failure.broken
function pool_failure.of(why, facts, timeout, broken)
  local cause = causes[why] or causes[native.WHY_DIED]
  local class, code, text = cause[1], cause[2], cause[3]
  if class == "WorkerDied" and text:find "%%s" then
    text = text:format(ending(facts))
  elseif class == "TaskTimeout" then
    text = text:format(timeout)
  elseif class == "PoolBroken" then
    text = text:format(broken.message)
    facts = { task = facts.task, attempt = facts.attempt, pid = broken.pid, exit = broken.exit, stderr = broken.stderr }
  end
  if facts.task then
    text = ("task %.0f failed: %s"):format(facts.task, text)
  end
  return make(class, code, text, facts)
end

--- The failure of a task that reported an error.
-- @tparam table answer type, text, trace, data, code
function pool_failure.reported(answer, facts, decode)
  local made = make(answer.type, answer.code, answer.text, facts)
  made.traceback = answer.trace ~= "" and answer.trace or nil
  if answer.data ~= "" then
    local ok, value = pcall(decode or tostring, answer.data)
    made.value = ok and value or nil
  end
  return made
end

--- The failure of a task whose result cannot be decoded.
function pool_failure.undecodable(message, facts)
  return make("error", native.EBADMSG, "the result cannot be decoded: " .. failure.text(message), facts)
end

--- Describes why the pool gave up.
-- @tparam table facts what is known of the worker that failed last
-- @tparam ?string message why it could not be started
function pool_failure.broken(facts, message)
  if message then
    return { message = "no worker can be started: " .. message }
  end
  local last = facts.stderr and facts.stderr:match "([^\n]+)\n*$"
  facts.message = "its " .. ending(facts) .. (last and ": " .. last or "")
  return facts
end

--- The text for a value that a codec does not encode.
function pool_failure.refusal(what, item, message)
  local _, text = pcall(codec.refuse, what, item, message)
  return (failure.text(text):gsub("^.-gipc: ", ""))
end

return pool_failure
