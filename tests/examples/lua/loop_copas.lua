-- The same on the loop of copas: a child answers while another coroutine runs.
local gipc = require "gipc"
local copas = require "copas"

gipc.use "copas"

local finished = false

local function main()
  local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
  local child = gipc.start_process(function(pipe)
    while true do
      local question = pipe:get()
      if not question then
        break
      end
      pipe:put(question:upper())
    end
  end, yours)
  for _, word in ipairs { "one", "two" } do
    mine:put(word)
    print(mine:get(10))
  end
  mine:close()
  child:join()
  print("exit code", child:exitcode())
  finished = true
end

copas.addthread(main)
while not finished do
  copas.step(1)
end
