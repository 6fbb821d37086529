-- A child that answers every message until its parent closes the pipe.
local gipc = require "gipc"

local function echo(pipe)
  for message in pipe:messages() do
    pipe:put(message)
  end
end

gipc.run(function()
  local mine, theirs = gipc.pipe { duplex = true }
  local child = gipc.start_process(echo, theirs)
  for _, message in ipairs { "hello", 42, { 1, 2, 3 } } do
    assert(mine:put(message))
    local answer = assert(mine:get(5))
    print(type(answer) == "table" and table.concat(answer, " ") or answer)
  end
  mine:close()
  child:join()
  print("the child ended with " .. child:exitcode())
end)
