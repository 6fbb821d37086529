---@meta gipc
-- Type annotations of keepers for editors (LuaCATS); never loaded.

---@class gipc.ServiceOptions: gipc.ProcessOptions
---@field name string
---@field work? function
---@field args? any[]|fun(): ...
---@field argv? string[]
---@field handles? fun(): table<string, gipc.Handle>
---@field restart? "always"|"on_failure"|"never"
---@field notify? boolean
---@field ready_within? number seconds
---@field silence? number seconds
---@field dump? number seconds
---@field dump_signal? gipc.Signal 0: none
---@field grace? number seconds
---@field first_delay? number seconds
---@field longest_delay? number seconds
---@field growth? number
---@field jitter? number
---@field healthy? number seconds
---@field window? number seconds
---@field limit? integer
---@field seed? integer

---@class gipc.KeeperOptions
---@field strategy? "one_for_one"|"rest_for_one"|"all_for_one"
---@field on_change? fun(change: gipc.Change)
---@field [integer] gipc.ServiceOptions

---@alias gipc.StopReason "silent"|"not_ready"|"reload"|"group"|"stopped"|"gave_up"

---What happened to a service.
---@class gipc.Change
---@field service string
---@field state string
---@field pid? integer
---@field exit? gipc.ExitInfo
---@field why? gipc.StopReason
---@field stderr? string
---@field message? string why it could not be started, or the reload failed

---@class gipc.ServiceState
---@field name string
---@field state "waiting"|"starting"|"ready"|"silent"|"stopping"|"killed"|"finished"|"gave_up"|"stopped"
---@field pid? integer
---@field restarts integer
---@field exit? gipc.ExitInfo
---@field why? gipc.StopReason
---@field stderr? string
---@field message? string

---A service that was given up, or not reloaded.
---@class gipc.ServiceError
---@field class "GaveUp"|"ReloadFailed"
---@field message string
---@field code integer
---@field service string
---@field pid? integer
---@field exit? gipc.ExitInfo
---@field why? gipc.StopReason
---@field stderr? string

---@class gipc.Keeper
local Keeper = {}

---Waits until all services have finished, or one is given up.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, gipc.ServiceError|string|nil, integer?
function Keeper:wait(timeout) end

---Waits until each service is ready, or has finished.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, gipc.ServiceError|string|nil, integer?
function Keeper:wait_ready(timeout) end

---Stops all services, and waits for their ends.
---@return true
function Keeper:stop() end

---Replaces the process of a service without a gap.
---@param name string
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, gipc.ServiceError|string|nil, integer?
function Keeper:reload(name, timeout) end

---Sends a signal to the process of a service.
---@param name string
---@param signal gipc.Signal
---@return true?, string?, integer?
function Keeper:signal(name, signal) end

---The state of one service.
---@param name string
---@return gipc.ServiceState
function Keeper:service(name) end

---The states of all services.
---@return gipc.ServiceState[]
function Keeper:services() end

---@class gipc
local gipc = {}

---Keeps services running.
---@param options gipc.KeeperOptions
---@return gipc.Keeper
function gipc.keep(options) end

---Reports to the supervisor that this process is ready.
---@return true?, string?, integer?
function gipc.ready() end

---Reports to the supervisor that this process is alive.
---@return true?, string?, integer?
function gipc.alive() end

return gipc
