---@meta gipc
-- Type annotations of pools for editors (LuaCATS); never loaded.

---What a task of a pool may have.
---@class gipc.TaskOptions
---@field timeout? number seconds of one execution
---@field priority? integer higher ones first
---@field retries? integer executions after the first
---@field retry_for? ("died"|"timed_out"|"failed")[]

---@class gipc.CallOptions: gipc.TaskOptions
---@field fds? (integer|file*)[] descriptors, of which the worker gets copies

---@class gipc.MapOptions: gipc.TaskOptions
---@field ordered? boolean default true
---@field ahead? integer jobs that are submitted and not returned

---@class gipc.PoolOptions: gipc.ProcessOptions, gipc.TaskOptions
---@field workers? integer the most; default: the processors
---@field least? integer
---@field queue_limit? integer
---@field queue_low? integer
---@field retire_tasks? integer
---@field retire_memory? integer bytes
---@field idle? number seconds
---@field ahead? integer tasks that a worker is sent before it has answered
---@field poison? integer
---@field prepare_failures? integer
---@field ready_within? number seconds
---@field silence? number seconds
---@field dump? number seconds
---@field dump_signal? gipc.Signal
---@field grace? number seconds
---@field first_delay? number seconds
---@field longest_delay? number seconds
---@field growth? number
---@field jitter? number
---@field healthy? number seconds
---@field window? number seconds
---@field limit? integer
---@field seed? integer
---@field prepare? fun()
---@field codec? gipc.Codec
---@field argv? string[]
---@field launch? string[]|fun(): string[]

---Why a task has no result.
---@class gipc.TaskError
---@field class string
---@field message string
---@field code? integer
---@field traceback? string
---@field value? any
---@field task? integer
---@field attempt? integer
---@field pid? integer
---@field exit? gipc.ExitInfo
---@field stderr? string

---What the work of a pool gets after its job.
---@class gipc.Assignment
---@field task integer
---@field attempt integer 1 for the first
local Assignment = {}

---Shows a sign of life of the task.
---@return true?, string?, integer?
function Assignment:alive() end

---The descriptors of the task.
---@return integer[]? fds, string?, integer?
function Assignment:take_fds() end

---A job of a pool.
---@class gipc.PoolTask
---@field number integer
local PoolTask = {}

---Waits for the result.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return any result, gipc.TaskError|string|nil, integer?
function PoolTask:join(timeout) end

---Cancels it: the worker of a running task is stopped.
---@return boolean
function PoolTask:cancel() end

---Whether it has a result.
---@return boolean
function PoolTask:is_done() end

---@class gipc.Pool
local Pool = {}

---Carries out a task, and waits for its result.
---@param job any
---@param options? gipc.CallOptions
---@return any result, gipc.TaskError?, integer?
function Pool:call(job, options) end

---Submits a task; waits while the queue is full.
---@param job any
---@param options? gipc.CallOptions
---@return gipc.PoolTask?, gipc.TaskError?, integer?
function Pool:submit(job, options) end

---Submits a task, unless the queue is full.
---@param job any
---@param options? gipc.CallOptions
---@return gipc.PoolTask?, gipc.TaskError|string|nil, integer?
function Pool:try_submit(job, options) end

---Iterates over the results of many tasks.
---@param jobs any[]|fun(): any
---@param options? gipc.MapOptions
---@return fun(): integer?, any, gipc.TaskError?, integer?
function Pool:map(jobs, options) end

---Carries out the tasks that there are, and ends the workers.
---@param grace? number seconds; nil, or negative: no limit; 0: at once
---@return true
function Pool:stop(grace) end

---The most workers.
---@return integer
function Pool:size() end

---Counts of tasks and workers.
---@return table
function Pool:stats() end

---@class gipc
local gipc = {}

---Makes a pool of workers, which carry out tasks.
---@param options gipc.PoolOptions
---@param work? fun(job: any, assignment: gipc.Assignment): any, string?
---@return gipc.Pool
function gipc.pool(options, work) end

---Takes the descriptors of the task that this worker carries out.
---@return integer[]? fds, string?, integer?
function gipc.take_fds() end

---Carries out tasks, in a program that a pool started, until the pool ends.
---@param work fun(job: any, assignment: gipc.Assignment): any, string?
---@param options? { prepare: fun()?, codec: gipc.Codec? }
---@return true?, string?, integer?
function gipc.serve(work, options) end

return gipc
