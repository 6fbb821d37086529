---@meta gipc
-- Type annotations of the module for editors (LuaCATS); never loaded.

---A codec: a name, or its two functions.
---@alias gipc.Codec "msgpack"|"raw"|"json"|{ encode: fun(value: any): string, decode: fun(bytes: string): any }

---How the bytes get to the peer.
---@alias gipc.Transport "auto"|"plain"|"ring"

---@class gipc.PipeOptions
---@field duplex? boolean both ends read and write
---@field codec? gipc.Codec
---@field transport? gipc.Transport

---@class gipc.HandleOptions
---@field codec? gipc.Codec
---@field transport? gipc.Transport

---@alias gipc.Stream "inherit"|"null"|"pipe"|"stdout"|integer|file*

---A signal: its number, or its name such as "TERM".
---@alias gipc.Signal integer|string

---@alias gipc.Limit integer|"unlimited"

---@class gipc.StartOptions
---@field name? string
---@field daemon? boolean the child is killed when its parent ends
---@field env? table<string, string|number|false> false removes a variable
---@field clear_env? boolean
---@field cwd? string
---@field stderr? gipc.Stream
---@field group? "inherit"|"new"|"session"|"tree"
---@field keep_fds? (integer|file*)[]|"all"
---@field map_fds? table<integer, integer|file*> by the number in the child
---@field program? string the file that is run instead of argv[1]
---@field terminal? integer|file* the controlling terminal of a new session
---@field umask? integer
---@field nice? integer added to the nice value
---@field user? { uid: integer, gid: integer, groups: integer[]? }
---@field uid? integer
---@field gid? integer
---@field no_new_privileges? boolean
---@field death_signal? gipc.Signal the signal that a daemon gets; default "KILL"
---@field rlimits? table<string, gipc.Limit|gipc.Limit[]> { nofile = 100, core = { soft, hard } }
---@field block_signals? gipc.Signal[]

---@class gipc.ProcessOptions: gipc.StartOptions
---@field stdin? gipc.Stream
---@field stdout? gipc.Stream

---@class gipc.ExecOptions: gipc.ProcessOptions
---@field handles? table<string, gipc.Handle> passed to the child under these names

---@class gipc.LaunchOptions: gipc.StartOptions
---@field handles? table<string, gipc.Handle> passed to the child under these names
---@field codec? gipc.Codec

---@class gipc.Stats
---@field messages_in integer
---@field messages_out integer
---@field bytes_in integer
---@field bytes_out integer
---@field reads integer
---@field writes integer
---@field transport_in "plain"|"ring"
---@field transport_out "plain"|"ring"
---@field bells_in integer how often a get found the ring empty
---@field bells_out integer how often a put woke the peer
---@field stalls_out integer how often a put found the ring full

---@class gipc.ExitInfo
---@field code? integer
---@field signal? integer
---@field core boolean
---@field how "wait"|"kernel"|"reported"|"child"|"lost"
---@field ended? "return"|"exit"|"error"|"before_start"|"unsent" for a function child
---@field user? number seconds
---@field system? number seconds
---@field max_rss? integer KiB
---@field tree? "cgroup"|"subreaper"|"session" of a child with group = "tree"
---@field left? integer processes that it left when it ended
---@field killed? integer those of them that were killed

---@class gipc.Loop
---@field wait fun(fd: integer, direction: "r"|"w", timeout: number?): boolean
---@field sleep? fun(seconds: number)
---@field spawn? fun(f: function)
---@field active? fun(): boolean
---@field parking? fun(): { wait: fun(self, timeout: number): boolean, wake: fun(self), close: fun(self)? }
---@field forget? fun(fd: integer) called before a descriptor is closed

---One end of a pipe.
---@class gipc.Handle
local Handle = {}

---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return any message the message; or nil, error text, error code
---@return string? error_text
---@return integer? error_code gipc.EOF at the end of the stream, gipc.ETIMEDOUT on a timeout
function Handle:get(timeout) end

---@return fun(): any
function Handle:messages() end

---@param value any
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@param fds? integer[] descriptors, of which the peer takes copies
---@return true?, string?, integer?
function Handle:put(value, timeout, fds) end

---The descriptors of the message that the last get returned.
---@return integer[]?, string?, integer?
function Handle:take_fds() end

---@param list any[]
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?, integer? accepted
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

---Closes at once; what cannot be written now is discarded.
---@return true
function Handle:abort() end

---@return boolean
function Handle:closed() end

---@return "r"|"w"|"rw"|nil nil: closed
function Handle:directions() end

---@param direction "r"|"w"
---@return integer
function Handle:fd(direction) end

---For cqueues.poll.
---@return "r"|"w"
function Handle:events() end

---@return integer
function Handle:pollfd() end

---For socket.select.
---@return integer
function Handle:getfd() end

---@return boolean a get returns at once
function Handle:dirty() end

---@return 0|nil
function Handle:timeout() end

---@param direction? "r"|"w"
---@return integer bytes
function Handle:pending(direction) end

---@param bytes integer
---@return true
function Handle:set_limit(bytes) end

---@param bytes integer read ahead while a put waits; default 64 MiB
---@return true
function Handle:set_read_limit(bytes) end

---@param low integer bytes in the write queue; default 64 KiB
---@param high integer bytes; default 256 KiB
---@return true
function Handle:set_marks(low, high) end

---@param transport gipc.Transport
---@return true?, string?, integer?
function Handle:set_transport(transport) end

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

---@param signal gipc.Signal
---@return true?, string?, integer?
function Process:signal(signal) end

---@param signal gipc.Signal
---@return true?, string?, integer?
function Process:signal_group(signal) end

---@param grace? number seconds, default 5
---@return true?, string?, integer?
function Process:stop_group(grace) end

---@return true?, string?, integer?
function Process:terminate() end

---@return true?, string?, integer?
function Process:kill() end

---@param grace? number seconds
---@return true?, string?, integer?
function Process:stop(grace) end

---@return integer?, string?, integer?
function Process:fd() end

---@return integer?
function Process:pollfd() end

---@return integer?
function Process:getfd() end

---@return "r"
function Process:events() end

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
gipc.ELOCKED = 0 ---@type integer
gipc.EWRONGPROC = 0 ---@type integer
gipc.EDIRECTION = 0 ---@type integer
gipc.EDEAD = 0 ---@type integer
gipc.ESTATUSLOST = 0 ---@type integer
gipc.EBADHANDLES = 0 ---@type integer
gipc.E2BIG = 0 ---@type integer
gipc.EACCES = 0 ---@type integer
gipc.EADDRINUSE = 0 ---@type integer
gipc.EADDRNOTAVAIL = 0 ---@type integer
gipc.EAFNOSUPPORT = 0 ---@type integer
gipc.EAGAIN = 0 ---@type integer
gipc.EALREADY = 0 ---@type integer
gipc.EBADF = 0 ---@type integer
gipc.EBADMSG = 0 ---@type integer
gipc.EBUSY = 0 ---@type integer
gipc.ECANCELED = 0 ---@type integer
gipc.ECHILD = 0 ---@type integer
gipc.ECONNABORTED = 0 ---@type integer
gipc.ECONNREFUSED = 0 ---@type integer
gipc.ECONNRESET = 0 ---@type integer
gipc.EDEADLK = 0 ---@type integer
gipc.EDESTADDRREQ = 0 ---@type integer
gipc.EDOM = 0 ---@type integer
gipc.EDQUOT = 0 ---@type integer
gipc.EEXIST = 0 ---@type integer
gipc.EFAULT = 0 ---@type integer
gipc.EFBIG = 0 ---@type integer
gipc.EHOSTUNREACH = 0 ---@type integer
gipc.EIDRM = 0 ---@type integer
gipc.EILSEQ = 0 ---@type integer
gipc.EINPROGRESS = 0 ---@type integer
gipc.EINTR = 0 ---@type integer
gipc.EINVAL = 0 ---@type integer
gipc.EIO = 0 ---@type integer
gipc.EISCONN = 0 ---@type integer
gipc.EISDIR = 0 ---@type integer
gipc.ELOOP = 0 ---@type integer
gipc.EMFILE = 0 ---@type integer
gipc.EMLINK = 0 ---@type integer
gipc.EMSGSIZE = 0 ---@type integer
gipc.ENAMETOOLONG = 0 ---@type integer
gipc.ENETDOWN = 0 ---@type integer
gipc.ENETRESET = 0 ---@type integer
gipc.ENETUNREACH = 0 ---@type integer
gipc.ENFILE = 0 ---@type integer
gipc.ENOBUFS = 0 ---@type integer
gipc.ENODEV = 0 ---@type integer
gipc.ENOENT = 0 ---@type integer
gipc.ENOEXEC = 0 ---@type integer
gipc.ENOLCK = 0 ---@type integer
gipc.ENOMEM = 0 ---@type integer
gipc.ENOMSG = 0 ---@type integer
gipc.ENOPROTOOPT = 0 ---@type integer
gipc.ENOSPC = 0 ---@type integer
gipc.ENOSYS = 0 ---@type integer
gipc.ENOTCONN = 0 ---@type integer
gipc.ENOTDIR = 0 ---@type integer
gipc.ENOTEMPTY = 0 ---@type integer
gipc.ENOTSOCK = 0 ---@type integer
gipc.ENOTSUP = 0 ---@type integer
gipc.ENOTTY = 0 ---@type integer
gipc.ENXIO = 0 ---@type integer
gipc.EOPNOTSUPP = 0 ---@type integer
gipc.EOVERFLOW = 0 ---@type integer
gipc.EPERM = 0 ---@type integer
gipc.EPIPE = 0 ---@type integer
gipc.EPROTO = 0 ---@type integer
gipc.EPROTONOSUPPORT = 0 ---@type integer
gipc.EPROTOTYPE = 0 ---@type integer
gipc.ERANGE = 0 ---@type integer
gipc.EROFS = 0 ---@type integer
gipc.ESPIPE = 0 ---@type integer
gipc.ESRCH = 0 ---@type integer
gipc.ESTALE = 0 ---@type integer
gipc.ETIMEDOUT = 0 ---@type integer
gipc.ETXTBSY = 0 ---@type integer
gipc.EWOULDBLOCK = 0 ---@type integer
gipc.EXDEV = 0 ---@type integer

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
---@param ... any handles among them are passed to the child
---@return gipc.Process?, string?, integer?
function gipc.start_process(f, ...) end

---@param argv string[]
---@param options? gipc.ExecOptions
---@return gipc.Process?, string?, integer?
function gipc.exec_process(argv, options) end

---@param argv string[] the launcher, the program and their arguments
---@param options? gipc.LaunchOptions
---@return gipc.Process?, gipc.Handle|string|nil, integer?
function gipc.launch(argv, options) end

---@class gipc.TemplateOptions
---@field preload? string[] names of modules that the template loads
---@field interpreter? string the program to run; default that of this program

---A process that starts children for this one.
---@class gipc.Template
local Template = {}

---@overload fun(self: gipc.Template, options: gipc.ProcessOptions, module: string, name: string, ...: any): gipc.Process?, string?, integer?
---@param module string
---@param name string of a function of the module, which the child calls
---@param ... any handles among them are passed to the child
---@return gipc.Process?, string?, integer?
function Template:start(module, name, ...) end

---@return boolean done
function Template:close() end

---@param options? gipc.TemplateOptions
---@return gipc.Template?, string?, integer?
function gipc.template(options) end

---A handle, a process, or a handle with the directions to wait for.
---@alias gipc.Waitable gipc.Handle|gipc.Process|{ [1]: gipc.Handle, [2]: "r"|"w"|"rw" }

---@param list gipc.Waitable[]
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return gipc.Waitable[]? ready, string?, integer?
function gipc.wait(list, timeout) end

---@param seconds? number nil, or negative: the exit of a child waits indefinitely
function gipc.set_exit_timeout(seconds) end

---@return table<string, boolean>
function gipc.features() end

---@class gipc.Record of a handle or a process; see gipc.overview in the manual
---@field kind "handle"|"process"
---@field id integer
---@field name? string
---@field pid? integer
---@field state string
---@field age number
---@field idle? number
---@field on_loop boolean
---@field busy? boolean
---@field directions? { read: boolean, write: boolean }
---@field transport_in? string
---@field transport_out? string
---@field read_fd? integer
---@field write_fd? integer
---@field pair? integer
---@field queued? integer
---@field unread? integer
---@field messages_in? integer
---@field messages_out? integer
---@field bytes_in? integer
---@field bytes_out? integer
---@field code? integer
---@field signal? integer

---@return gipc.Record[] all handles and processes; tostring() makes a table of them
function gipc.overview() end

---@param fd? integer|file* a line of JSON for each event is written to it; nil ends the trace
---@return boolean? done, string?, integer?
function gipc.trace(fd) end

---@param f function
---@return function
function gipc.wrap(f) end

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
