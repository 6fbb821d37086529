---@meta gipc
-- What editors know of the module (LuaCATS); nothing loads it.

---A codec: a name, or its two functions.
---@alias gipc.Codec "msgpack"|"raw"|"json"|{ encode: fun(value: any): string, decode: fun(bytes: string): any }

---@class gipc.PipeOptions
---@field duplex? boolean both ends read and write
---@field codec? gipc.Codec

---@class gipc.HandleOptions
---@field codec? gipc.Codec

---@alias gipc.Stream "inherit"|"null"|"pipe"|"stdout"|integer|file*

---@class gipc.ProcessOptions
---@field name? string
---@field daemon? boolean it ends with its parent
---@field env? table<string, string|number|false> false removes a variable
---@field clear_env? boolean
---@field cwd? string
---@field stdin? gipc.Stream
---@field stdout? gipc.Stream
---@field stderr? gipc.Stream
---@field group? "inherit"|"new"|"session"
---@field keep_fds? integer[]|"all"

---@class gipc.ExecOptions: gipc.ProcessOptions
---@field handles? table<string, gipc.Handle> they move into the child

---@class gipc.Stats
---@field messages_in integer
---@field messages_out integer
---@field bytes_in integer
---@field bytes_out integer
---@field reads integer
---@field writes integer

---@class gipc.ExitInfo
---@field code? integer
---@field signal? integer
---@field core boolean
---@field how "wait"|"kernel"|"reported"|"child"|"lost"
---@field user? number seconds
---@field system? number seconds
---@field max_rss? integer KiB

---@class gipc.Loop
---@field wait fun(fd: integer, direction: "r"|"w", timeout: number?): boolean
---@field sleep? fun(seconds: number)
---@field spawn? fun(f: function)
---@field active? fun(): boolean

---One end of a pipe.
---@class gipc.Handle
local Handle = {}

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return any message nil when there is none
---@return string? message_of_the_failure
---@return integer? code
function Handle:get(timeout) end

---@return fun(): any
function Handle:messages() end

---@param value any
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:put(value, timeout) end

---@param list any[]
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?, integer? taken
function Handle:put_many(list, timeout) end

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:flush(timeout) end

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:close(timeout) end

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:shutdown(timeout) end

---@return boolean
function Handle:closed() end

---@param direction "r"|"w"
---@return integer
function Handle:fd(direction) end

---@param bytes integer
---@return true
function Handle:set_limit(bytes) end

---@param bytes integer received and kept while a put waits; default 64 MiB
---@return true
function Handle:set_read_limit(bytes) end

---@param low integer
---@param high integer
---@return true
function Handle:set_marks(low, high) end

---@return gipc.Stats
function Handle:stats() end

---A child.
---@class gipc.Process
---@field pid integer
---@field name string
local Process = {}

---@return boolean
function Process:is_alive() end

---@return integer? code, string?, integer?
function Process:exitcode() end

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Process:join(timeout) end

---@param number integer
---@return true?, string?, integer?
function Process:signal(number) end

---@return true?, string?, integer?
function Process:terminate() end

---@return true?, string?, integer?
function Process:kill() end

---@param grace? number seconds
---@return true?, string?, integer?
function Process:stop(grace) end

---@return integer?, string?, integer?
function Process:fd() end

---@param which 0|1|2
---@return integer?, string?, integer?
function Process:stdio(which) end

---@return gipc.ExitInfo?
function Process:info() end

---@return true
function Process:close() end

---A coroutine of gipc's own scheduler.
---@class gipc.Task
local Task = {}

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, any ...
function Task:join(timeout) end

---@return boolean
function Task:cancel() end

---@return boolean
function Task:is_done() end

---@class gipc
local gipc = {}

gipc._VERSION = "" ---@type string
gipc.null = nil ---@type lightuserdata
gipc.EOF = 0 ---@type integer
gipc.ETRUNCATED = 0 ---@type integer
gipc.EPROTOCOL = 0 ---@type integer
gipc.ETOOBIG = 0 ---@type integer
gipc.ECLOSED = 0 ---@type integer
gipc.EDEAD = 0 ---@type integer
gipc.ESTATUSLOST = 0 ---@type integer
gipc.EBADHANDLES = 0 ---@type integer
gipc.ETIMEDOUT = 0 ---@type integer
gipc.EINPROGRESS = 0 ---@type integer
gipc.EPIPE = 0 ---@type integer
gipc.ECONNRESET = 0 ---@type integer
gipc.EBADMSG = 0 ---@type integer
gipc.ENOENT = 0 ---@type integer
gipc.EACCES = 0 ---@type integer
gipc.EINVAL = 0 ---@type integer
gipc.EBADF = 0 ---@type integer

---@param options? gipc.PipeOptions
---@return gipc.Handle reader, gipc.Handle writer
function gipc.pipe(options) end

---@param read_fd integer?
---@param write_fd integer?
---@param options? gipc.HandleOptions
---@return gipc.Handle?, string?, integer?
function gipc.open(read_fd, write_fd, options) end

---@param options? gipc.HandleOptions
---@return gipc.Handle?, string?, integer?
function gipc.stdio(options) end

---@param name string
---@param options? gipc.HandleOptions
---@return gipc.Handle?, string?, integer?
function gipc.inherit(name, options) end

---@param s string
---@return table
function gipc.binary(s) end

---@param t table
---@return table
function gipc.map(t) end

---@overload fun(options: gipc.ProcessOptions, f: function, ...: any): gipc.Process?, string?, integer?
---@param f function
---@param ... any handles among them move into the child
---@return gipc.Process?, string?, integer?
function gipc.start_process(f, ...) end

---@param argv string[]
---@param options? gipc.ExecOptions
---@return gipc.Process?, string?, integer?
function gipc.exec_process(argv, options) end

---@param f function
---@param ... any
---@return any ...
function gipc.run(f, ...) end

---@param f function
---@param ... any
---@return gipc.Task
function gipc.spawn(f, ...) end

---@param seconds number
function gipc.sleep(seconds) end

---@param what "own"|"none"|"luv"|"cqueues"|"copas"|gipc.Loop
function gipc.use(what) end

return gipc
