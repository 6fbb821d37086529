-- The same on the loop of cqueues: a child answers while another coroutine runs.
local gipc = require "gipc"
local cqueues = require "cqueues"

gipc.use "cqueues"

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
end

local controller = cqueues.new()
controller:wrap(main)
assert(controller:loop())
