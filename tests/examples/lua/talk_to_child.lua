-- A program that runs another one and talks to it in MessagePack.
--   talk_to_child.lua [COMMAND...]
-- The command may be of any language: python3 ../python/talk_to_child.py child;
-- without one it runs itself.
local gipc = require "gipc"

local function child()
  local parent = assert(gipc.inherit "parent")
  for question in parent:messages() do
    parent:put { question = question, answer = question:reverse() }
  end
end

local function main()
  local mine, theirs = gipc.pipe { duplex = true }
  local command = arg[1] and arg or { arg[-1], arg[0], "child" }
  local process = assert(gipc.exec_process(command, { handles = { parent = theirs } }))
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
