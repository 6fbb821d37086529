-- A program that runs another one, here itself, and talks to it in MessagePack, as
-- it would to one in Python, Ruby or C.
local gipc = require "gipc"

local function child()
  local parent = assert(gipc.inherit "parent")
  for question in parent:messages() do
    parent:put { question = question, answer = question:reverse() }
  end
end

local function main()
  local mine, theirs = gipc.pipe { duplex = true }
  local process = assert(gipc.exec_process({ arg[-1], arg[0], "child" }, { handles = { parent = theirs } }))
  for _, question in ipairs { "stressed", "level" } do
    assert(mine:put(question))
    local got = assert(mine:get(20))
    print(got.question .. " is " .. got.answer)
  end
  mine:close()
  process:join()
  print("the child ended with " .. process:exitcode())
end

gipc.run(arg[1] == "child" and child or main)
