-- The same program with luv.spawn, and with gipc on the loop of luv.
local gipc = require "gipc"
local luv = require "luv"

-- -- before
local function before()
  local stdin, stdout = luv.new_pipe(false), luv.new_pipe(false)
  local child, exit_code
  child = luv.spawn("cat", { stdio = { stdin, stdout, 2 } }, function(code)
    exit_code = code -- before or after the end of the stream
    child:close()
  end)
  stdout:read_start(function(_, chunk) -- pieces of a stream, of any length
    if chunk then
      print(chunk)
    else
      stdout:close()
    end
  end)
  stdin:write("hello")
  stdin:shutdown(function()
    stdin:close()
  end)
  luv.run()
  print("exit code " .. exit_code)
end

-- -- after
local function echo(pipe)
  for message in pipe:messages() do
    pipe:put(message)
  end
end

local function after()
  local mine, theirs = gipc.pipe { duplex = true }
  local child = gipc.start_process(echo, theirs)
  mine:put "hello"
  print(mine:get(20)) -- a whole message, or nil and the reason
  mine:close()
  child:join()
  print("exit code " .. child:exitcode())
end

-- -- end
before()
gipc.use "luv"
coroutine.wrap(after)()
luv.run()
