-- A listener gives each connection to one of two workers, which answers the request.  The
-- client is another coroutine, so that the program ends.
local gipc = require "gipc"
local uv = require "luv"

-- A worker is this program, too: so it has no connection but that of its task.
local function answer()
  local connection, request = uv.new_tcp(), ""
  connection:open(gipc.take_fds()[1])
  connection:read_start(function(_, bytes)
    request = request .. (bytes or "")
    if bytes and not request:find "\r\n\r\n" then
      return
    end
    local path = request:match "^GET (%S+)" or "?"
    connection:write("HTTP/1.0 200 OK\r\n\r\n" .. path .. " is here\n")
    connection:shutdown(function()
      connection:close()
    end)
  end)
  uv.run() -- until it is closed
end

if arg[1] == "work" then
  assert(gipc.serve(answer))
  os.exit(0)
end

local function fetch(port, path)
  local co, client, response = coroutine.running(), uv.new_tcp(), ""
  client:connect("127.0.0.1", port, function()
    client:write("GET " .. path .. " HTTP/1.0\r\n\r\n")
    client:read_start(function(_, bytes)
      response = response .. (bytes or "")
      if not bytes then
        client:close()
        coroutine.resume(co)
      end
    end)
  end)
  coroutine.yield()
  return response:match "\r\n\r\n(.*)\n$"
end

local function serve_and_fetch()
  local pool = gipc.pool { workers = 2, argv = { arg[-1], arg[0], "work" }, timeout = 60 }
  local listener = uv.new_tcp()
  listener:bind("127.0.0.1", 0)
  listener:listen(128, function()
    local connection = uv.new_tcp()
    listener:accept(connection)
    coroutine.wrap(function()
      assert(pool:submit("", { fds = { connection:fileno() } }))
      connection:close() -- the task has a duplicate
    end)()
  end)

  for number = 1, 3 do
    print(fetch(listener:getsockname().port, "/" .. number))
  end
  listener:close()
  pool:stop()
end

gipc.use "luv"
coroutine.wrap(serve_and_fetch)()
uv.run()
