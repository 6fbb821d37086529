-- Tasks of a pool with descriptors.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local shared = require "support_pools"
local equal, fails, failed, raises = support.equal, support.fails, shared.failed, support.raises

local function needs_descriptors()
  if os.getenv "GIPC_TEST_OS" == "posix" then
    support.not_here "messages have descriptors on Linux only"
  end
end

-- In a worker: each descriptor is one end of a pipe, to which the job is put.
local function put_job(job)
  local fds, message, code = gipc.take_fds()
  if not fds then
    return nil, message, code
  end
  for _, fd in ipairs(fds) do
    local to = assert(gipc.open(nil, fd, { codec = "raw" }))
    assert(to:put(job))
    to:close()
  end
  return #fds
end

local function with_pool(options, work, body)
  needs_descriptors()
  options.workers = 1
  shared.with_pool(options, work, body)
end

-- Calls body(fd) with the number of one end of a pipe, which is closed then.  No copy is
-- left, and this came through it.
local function watched(wanted, body)
  local a, b = gipc.pipe { codec = "raw" }
  body(b:getfd(), b)
  if not b:closed() then
    b:close()
  end
  if wanted then
    equal(a:get(10), wanted)
  end
  fails(gipc.EOF, ".", a:get(10))
  a:close()
end

local function check_gets(pool)
  equal(pool:call("hello", { fds = {} }), 0)
  watched("hello", function(fd)
    equal(pool:call("hello", { fds = { fd } }), 1)
  end)
  equal(pool:call "hello", 0)
end

local program = [[
local gipc = require "gipc"
assert(gipc.serve(function(job, assignment)
  local fds = assignment:take_fds()
  for _, fd in ipairs(fds) do
    local to = assert(gipc.open(nil, fd, { codec = "raw" }))
    to:put(job)
    to:close()
  end
  return #fds
end))]]

-- ---- A listener ---------------------------------------------------------------------

local servers = {}

-- Programs that answer a request with its path, and the task with the number of open
-- descriptors.  The paths of modules come from the environment.
local answers = {
  luv = [[
local gipc, uv = require "gipc", require "luv"
assert(gipc.serve(function()
  local socket, request = uv.new_tcp(), ""
  socket:open(gipc.take_fds()[1])
  socket:read_start(function(_, bytes)
    request = request .. (bytes or "")
    if bytes and not request:find "\r\n\r\n" then
      return
    end
    local path = request:match "^GET (%S+)" or ""
    socket:write(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n"):format(#path + 1, path))
    socket:shutdown(function()
      socket:close()
    end)
  end)
  uv.run()
  local files, count = uv.fs_scandir "/proc/self/fd", 0
  while uv.fs_scandir_next(files) do
    count = count + 1
  end
  return count
end))]],
  cqueues = [[
local gipc, socket = require "gipc", require "cqueues.socket"
assert(gipc.serve(function()
  local connection = socket.fdopen(gipc.take_fds()[1])
  local path, line = (connection:read "*l"):match "^GET (%S+)"
  repeat
    line = connection:read "*l"
  until line == "\r" or line == ""
  connection:setmode("b", "bn")
  connection:write(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n"):format(#path + 1, path))
  connection:flush()
  connection:close()
  local files, count = io.popen "ls /proc/$PPID/fd", 0
  for _ in files:lines() do
    count = count + 1
  end
  files:close()
  return count
end))]],
}
-- Calls give(fd) for so many connections; returns the port, a function that waits until all
-- have come, and one that closes the listener.
function servers.luv(give)
  local uv = require "luv"
  local server = uv.new_tcp()
  server:bind("127.0.0.1", 0)
  server:listen(100, function()
    local connection = uv.new_tcp()
    server:accept(connection)
    coroutine.wrap(function()
      give(connection:fileno())
      connection:close()
    end)()
  end)
  return server:getsockname().port, function()
    server:close()
  end
end

function servers.cqueues(give)
  local server = require("cqueues.socket").listen("127.0.0.1", 0)
  assert(server:listen())
  local _, _, port = server:localname()
  local ended
  support.on.spawn(function()
    while not ended do
      local connection = server:accept(0.01)
      if connection then
        give(connection:pollfd())
        connection:close()
      end
    end
    server:close()
    ended = "closed"
  end)
  return port, function()
    ended = true
    support.wait_until(function()
      return ended == "closed"
    end)
  end
end

local client = debug.getinfo(1, "S").source:match "^@(.*/)[^/]*$" .. "../../pool/http_client.py"

-- Has a client ask so often, and returns how many descriptors the workers have, at least and
-- at most.
local function ask(port, count, tasks)
  local asks = assert(gipc.exec_process({ "python3", client, tostring(port), tostring(count) }, { stdout = "null" }))
  assert(asks:join())
  equal(asks:exitcode(), 0)
  asks:close()
  local least, most = math.huge, 0
  equal(#tasks, count)
  while tasks[1] do
    local number = assert(table.remove(tasks):join())
    least, most = math.min(least, number), math.max(most, number)
  end
  return least, most
end

return function(test)
  local once = support.once(test)

  test("a_task_gets_its_descriptors", function()
    with_pool({}, put_job, check_gets)
  end)

  once("a_task_of_a_program_gets_them", function()
    with_pool({ argv = { support.interpreter, "-e", program } }, nil, check_gets)
  end)

  once("a_launcher_has_none_and_says_so", function()
    with_pool({ launch = { support.interpreter, "-e", program } }, nil, function(pool)
      equal(pool:call "hello", 0)
      watched(nil, function(fd)
        failed("error", "cannot be sent descriptors", native.EOPNOTSUPP, pool:call("hello", { fds = { fd } }))
      end)
      equal(pool:call "hello", 0)
      equal(pool:stats().starts, 1)
    end)
  end)

  test("a_submitted_task_keeps_them_until_it_is_sent", function()
    with_pool({ queue_limit = 3 }, put_job, function(pool)
      local tasks, readers = {}, {}
      for i = 1, 20 do
        local a, b = gipc.pipe { codec = "raw" }
        tasks[i] = assert(pool:submit("a", { fds = { b:getfd() } }))
        b:close()
        readers[i] = a
      end
      for i, task in ipairs(tasks) do
        equal(task:join(), 1)
        equal(readers[i]:get(10), "a")
        fails(gipc.EOF, ".", readers[i]:get(10))
        readers[i]:close()
      end
    end)
  end)

  once("a_full_queue_keeps_none", function()
    with_pool({ queue_limit = 1 }, function()
      gipc.sleep(3600)
    end, function(pool)
      pool:submit "a"
      support.wait_until(function()
        return pool:stats().running == 1
      end)
      watched(nil, function(fd, b)
        local task = pool:submit("a", { fds = { fd } })
        fails(native.EAGAIN, "full", pool:try_submit("a", { fds = { fd } }))
        b:close()
        task:cancel()
        task:join()
      end)
    end)
  end)

  test("those_not_taken_are_closed_after_the_task", function()
    with_pool({}, function(job)
      return job or error "no job"
    end, function(pool)
      watched(nil, function(fd)
        equal(pool:call(1, { fds = { fd } }), 1)
      end)
      watched(nil, function(fd)
        failed("error", "no job", nil, pool:call(false, { fds = { fd } }))
      end)
    end)
  end)

  once("a_task_that_is_carried_out_again_gets_them_again", function()
    local function work(job, assignment)
      if assignment.attempt == 1 then
        assignment:take_fds()
        shared.die "KILL"
      end
      return put_job(job)
    end
    with_pool({}, work, function(pool)
      watched("a", function(fd)
        equal(pool:call("a", { fds = { fd }, retries = 1 }), 1)
      end)
      watched(nil, function(fd)
        failed("WorkerDied", "killed by signal 9", native.EDEAD, pool:call("a", { fds = { fd } }))
      end)
    end)
  end)

  test("a_cancelled_task_closes_them", function()
    with_pool({}, function()
      gipc.sleep(3600)
    end, function(pool)
      watched(nil, function(fd)
        local runs = pool:submit("a", { fds = { fd } })
        local waits = pool:submit("a", { fds = { fd } })
        for _, task in ipairs { waits, runs } do
          equal(task:cancel(), true)
          failed("TaskCancelled", "cancelled", native.ECANCELED, task:join())
        end
      end)
      watched(nil, function(fd)
        pool:submit("a", { fds = { fd } })
        pool:submit("a", { fds = { fd } })
        pool:stop(0)
      end)
    end)
  end)

  -- Its limit is set by the shell that becomes the worker: what it has at its start is
  -- all that it may have.
  once("a_worker_without_room_fails_the_task", function()
    local shell = "ulimit -n $(($(ls /proc/$$/fd | sort -n | tail -1) + 1)); exec \"$0\" \"$@\""
    local refuses = program:gsub("local fds = assignment:take_fds%(%)", "%0\n  if not fds then return -1 end")
    with_pool({ argv = { "sh", "-c", shell, support.interpreter, "-e", refuses } }, nil, function(pool)
      equal(pool:call "hello", 0)
      watched(nil, function(fd)
        local many = {}
        for i = 1, 200 do
          many[i] = fd
        end
        equal(pool:call("hello", { fds = many }), -1)
      end)
      equal(pool:call "hello", 0)
      equal(pool:stats().starts, 1)
    end)
  end)

  once("wrong_descriptors_are_refused", function()
    with_pool({}, put_job, function(pool)
      fails(native.EBADF, "descriptors of the task", pool:call(1, { fds = { 999 } }))
      local many = {}
      for i = 1, 254 do
        many[i] = 0
      end
      raises("at most 253", pool.call, pool, 1, { fds = many })
      raises("fds", pool.call, pool, 1, { fds = { "file" } })
      raises("fds", pool.call, pool, 1, { fds = 3 })
      raises("no option", gipc.pool, { fds = { 0 } }, put_job)
      equal(pool:stats().starts, 0)
      fails(native.ENOENT, "not a worker", gipc.take_fds())
    end)
  end)

  test("the_sockets_of_a_listener_go_to_a_pool", function()
    if not servers[support.loop] then
      support.not_here "luv and cqueues have sockets"
    elseif os.execute "python3 -c pass" ~= (_VERSION == "Lua 5.1" and 0 or true) then
      support.not_here "the client needs python3"
    end
    needs_descriptors()
    local argv = { support.interpreter, "-e", answers[support.loop] }
    shared.with_pool({ workers = 3, queue_limit = 8, argv = argv }, nil, function(pool)
      local tasks = {}
      local port, close = servers[support.loop](function(fd)
        table.insert(tasks, assert(pool:submit("", { fds = { fd } })))
      end)
      ask(port, 20, tasks)
      local before = support.descriptors()
      local least, most = ask(port, support.long and 10000 or 200, tasks)
      equal(most <= least + 5, true) -- a ring each way, and what cqueues opens once to wait
      -- Three rings; and the loop keeps that of the client until it is collected.
      equal(support.descriptors() <= before + 4, true)
      equal(pool:stats().failed, 0)
      close()
    end)
  end)
end
