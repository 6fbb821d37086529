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

---Receives the next message.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return any message the message; or nil, error text, error code
---@return string? error_text
---@return integer? error_code gipc.EOF at the end of the stream, gipc.ETIMEDOUT on a timeout
function Handle:get(timeout) end

---Iterates over the messages, until the end of the stream.
---@return fun(): any
function Handle:messages() end

---Puts a value as one message; returns when all bytes are written.
---@param value any
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@param fds? (integer|gipc.Handle)[] descriptors, of which the peer takes copies, and handles, which move
---@return true?, string?, integer?
function Handle:put(value, timeout, fds) end

---The descriptors of the message that the last get returned.
---@return integer[]?, string?, integer?
function Handle:take_fds() end

--- Takes the handles of the message that the last get returned.
---@param options? gipc.HandleOptions
---@return gipc.Handle[]? handles, string? message, integer? code
function Handle:take_handles(options) end

---Puts each value of a list as one message, in few system calls.
---@param list any[]
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?, integer? accepted
function Handle:put_many(list, timeout) end

---Writes what is queued of a put that was interrupted.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:flush(timeout) end

---Writes what is queued, and closes the handle.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:close(timeout) end

---Ends the direction to the peer of a duplex handle, which can still get.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Handle:shutdown(timeout) end

---Closes at once; what cannot be written now is discarded.
---@return true
function Handle:abort() end

---Whether it is closed, or was passed to a child.
---@return boolean
function Handle:closed() end

---Which directions it has.
---@return "r"|"w"|"rw"|nil nil: closed
function Handle:directions() end

---The descriptor to wait for, after a call that would wait.
---@param direction "r"|"w"
---@return integer
function Handle:fd(direction) end

---For cqueues.poll.
---@return "r"|"w"
function Handle:events() end

---The descriptor, as cqueues.poll asks for it.
---@return integer
function Handle:pollfd() end

---For socket.select.
---@return integer
function Handle:getfd() end

---Whether a get need not wait, as socket.select asks for it.
---@return boolean a get returns at once
function Handle:dirty() end

---How long to wait, as cqueues.poll asks for it.
---@return 0|nil
function Handle:timeout() end

---How many bytes are received and not yet got, or queued.
---@param direction? "r"|"w"
---@return integer bytes
function Handle:pending(direction) end

---Sets the largest message in bytes, before the first get.
---@param bytes integer
---@return true
function Handle:set_limit(bytes) end

---Sets how many bytes are received ahead while a put waits.
---@param bytes integer read ahead while a put waits; default 64 MiB
---@return true
function Handle:set_read_limit(bytes) end

---Sets the low and high water marks of the write queue, in bytes.
---@param low integer bytes in the write queue; default 64 KiB
---@param high integer bytes; default 256 KiB
---@return true
function Handle:set_marks(low, high) end

---Chooses how the bytes get to the peer.
---@param transport gipc.Transport
---@return true?, string?, integer?
function Handle:set_transport(transport) end

---Counts of messages, bytes and system calls.
---@return gipc.Stats
function Handle:stats() end

---A child.
---@class gipc.Process
---@field pid integer
---@field name string
local Process = {}

---Whether it runs.
---@return boolean
function Process:is_alive() end

---The exit code, minus the number of a signal, or nil while it runs.
---@return integer? code, string?, integer?
function Process:exitcode() end

---Waits until it has ended.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, string?, integer?
function Process:join(timeout) end

---Sends a signal to this process only.
---@param signal gipc.Signal
---@return true?, string?, integer?
function Process:signal(signal) end

---Sends a signal to its process group, which must be its own.
---@param signal gipc.Signal
---@return true?, string?, integer?
function Process:signal_group(signal) end

---Stops all processes of its group: SIGTERM, and SIGKILL after grace seconds.
---@param grace? number seconds, default 5
---@return true?, string?, integer?
function Process:stop_group(grace) end

---Sends SIGTERM.
---@return true?, string?, integer?
function Process:terminate() end

---Sends SIGKILL.
---@return true?, string?, integer?
function Process:kill() end

---Stops it: SIGTERM, and SIGKILL after grace seconds; waits for the end.
---@param grace? number seconds
---@return true?, string?, integer?
function Process:stop(grace) end

---A descriptor that is readable when it has ended.
---@return integer?, string?, integer?
function Process:fd() end

---That descriptor, as cqueues.poll asks for it.
---@return integer?
function Process:pollfd() end

---That descriptor, as socket.select asks for it.
---@return integer?
function Process:getfd() end

---What to wait for, as cqueues.poll asks for it.
---@return "r"
function Process:events() end

---This process's end of a stream that was made with "pipe".
---@param which 0|1|2
---@return integer?, string?, integer?
function Process:stdio(which) end

---How it ended, or nil while it runs.
---@return gipc.ExitInfo?
function Process:info() end

---Frees the object of a process that has ended.
---@return true
function Process:close() end

---A coroutine of gipc's own scheduler.
---@class gipc.Task
local Task = {}

---Waits until it has ended; returns true and its results.
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return true?, any ...
function Task:join(timeout) end

---Ends it where it waits.
---@return boolean
function Task:cancel() end

---Whether it has ended.
---@return boolean
function Task:is_done() end

---@class gipc
local gipc = {}

gipc._VERSION = "" ---@type string
gipc.null = nil ---@type lightuserdata
-- Codes: integers.  Those of the library, and errors of POSIX.
gipc.EOF = 0 gipc.ETRUNCATED = 0 gipc.EPROTOCOL = 0 gipc.ETOOBIG = 0 gipc.ECLOSED = 0
gipc.ELOCKED = 0 gipc.EWRONGPROC = 0 gipc.EDIRECTION = 0 gipc.EDEAD = 0 gipc.ESTATUSLOST = 0
gipc.EBADHANDLES = 0 gipc.E2BIG = 0 gipc.EACCES = 0 gipc.EADDRINUSE = 0 gipc.EADDRNOTAVAIL = 0
gipc.EAFNOSUPPORT = 0 gipc.EAGAIN = 0 gipc.EALREADY = 0 gipc.EBADF = 0 gipc.EBADMSG = 0
gipc.EBUSY = 0 gipc.ECANCELED = 0 gipc.ECHILD = 0 gipc.ECONNABORTED = 0 gipc.ECONNREFUSED = 0
gipc.ECONNRESET = 0 gipc.EDEADLK = 0 gipc.EDESTADDRREQ = 0 gipc.EDOM = 0 gipc.EDQUOT = 0
gipc.EEXIST = 0 gipc.EFAULT = 0 gipc.EFBIG = 0 gipc.EHOSTUNREACH = 0 gipc.EIDRM = 0
gipc.EILSEQ = 0 gipc.EINPROGRESS = 0 gipc.EINTR = 0 gipc.EINVAL = 0 gipc.EIO = 0 gipc.EISCONN = 0
gipc.EISDIR = 0 gipc.ELOOP = 0 gipc.EMFILE = 0 gipc.EMLINK = 0 gipc.EMSGSIZE = 0
gipc.ENAMETOOLONG = 0 gipc.ENETDOWN = 0 gipc.ENETRESET = 0 gipc.ENETUNREACH = 0 gipc.ENFILE = 0
gipc.ENOBUFS = 0 gipc.ENODEV = 0 gipc.ENOENT = 0 gipc.ENOEXEC = 0 gipc.ENOLCK = 0 gipc.ENOMEM = 0
gipc.ENOMSG = 0 gipc.ENOPROTOOPT = 0 gipc.ENOSPC = 0 gipc.ENOSYS = 0 gipc.ENOTCONN = 0
gipc.ENOTDIR = 0 gipc.ENOTEMPTY = 0 gipc.ENOTSOCK = 0 gipc.ENOTSUP = 0 gipc.ENOTTY = 0
gipc.ENXIO = 0 gipc.EOPNOTSUPP = 0 gipc.EOVERFLOW = 0 gipc.EPERM = 0 gipc.EPIPE = 0
gipc.EPROTO = 0 gipc.EPROTONOSUPPORT = 0 gipc.EPROTOTYPE = 0 gipc.ERANGE = 0 gipc.EROFS = 0
gipc.ESPIPE = 0 gipc.ESRCH = 0 gipc.ESTALE = 0 gipc.ETIMEDOUT = 0 gipc.ETXTBSY = 0
gipc.EWOULDBLOCK = 0 gipc.EXDEV = 0

---Makes a pipe: a reader and a writer, or two duplex handles.
---@param options? gipc.PipeOptions
---@return gipc.Handle reader, gipc.Handle writer
function gipc.pipe(options) end

---Makes a handle of open descriptors, which it owns then.
---@param read_fd integer?
---@param write_fd integer?
---@param options? gipc.HandleOptions
---@return gipc.Handle?, string?, integer?
function gipc.open(read_fd, write_fd, options) end

---The handle of standard input and output, in a program behind a launcher.
---@param options? gipc.HandleOptions
---@return gipc.Handle?, string?, integer?
function gipc.stdio(options) end

---The handle that the parent passed under a name.
---@param name string
---@param options? gipc.HandleOptions
---@return gipc.Handle?, string?, integer?
function gipc.inherit(name, options) end

---Marks a string as bytes, for MessagePack.
---@param s string
---@return table
function gipc.binary(s) end

---Marks a table as a map, also if it is empty or a list.
---@param t table
---@return table
function gipc.map(t) end

---Starts a child that calls a function.
---@overload fun(options: gipc.ProcessOptions, f: function, ...: any): gipc.Process?, string?, integer?
---@param f function
---@param ... any handles among them are passed to the child
---@return gipc.Process?, string?, integer?
function gipc.start_process(f, ...) end

---Starts a child that runs a program.
---@param argv string[]
---@param options? gipc.ExecOptions
---@return gipc.Process?, string?, integer?
function gipc.exec_process(argv, options) end

---Starts a program, also behind a launcher, with a handle of its stdin and stdout.
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

---Starts a child that calls a function of a module.
---@overload fun(self: gipc.Template, options: gipc.ProcessOptions, module: string, name: string, ...: any): gipc.Process?, string?, integer?
---@param module string
---@param name string of a function of the module, which the child calls
---@param ... any handles among them are passed to the child
---@return gipc.Process?, string?, integer?
function Template:start(module, name, ...) end

---Ends the template; its children go on.
---@return boolean done
function Template:close() end

---Starts a small process that forks children.
---@param options? gipc.TemplateOptions
---@return gipc.Template?, string?, integer?
function gipc.template(options) end

---A handle, a process, or a handle with the directions to wait for.
---@alias gipc.Waitable gipc.Handle|gipc.Process|{ [1]: gipc.Handle, [2]: "r"|"w"|"rw" }

---Waits for handles and processes; returns a list of those that are ready.
---@param list gipc.Waitable[]
---@param timeout? number seconds; nil, or negative, waits indefinitely
---@return gipc.Waitable[]? ready, string?, integer?
function gipc.wait(list, timeout) end

---Sets how long the end of a child waits until its queues are written.
---@param seconds? number nil, or negative: the exit of a child waits indefinitely
function gipc.set_exit_timeout(seconds) end

---Which features of the kernel work here.
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

---Lists all handles and processes of this process.
---@return gipc.Record[] all handles and processes; tostring() makes a table of them
function gipc.overview() end

---Writes the events of this process to a descriptor, as lines of JSON.
---@param fd? integer|file* a line of JSON for each event is written to it; nil ends the trace
---@return boolean? done, string?, integer?
function gipc.trace(fd) end

---Like coroutine.wrap, for a generator that uses gipc.
---@param f function
---@return function
function gipc.wrap(f) end

---Runs a function and all tasks to their end, on gipc's own scheduler.
---@param f function
---@param ... any
---@return any ...
function gipc.run(f, ...) end

---Starts a task on gipc's own scheduler.
---@param f function
---@param ... any
---@return gipc.Task
function gipc.spawn(f, ...) end

---Waits, on any loop.
---@param seconds number
function gipc.sleep(seconds) end

---Chooses the loop on which calls wait.
---@param what "own"|"none"|"luv"|"cqueues"|"copas"|gipc.Loop
function gipc.use(what) end

return gipc
