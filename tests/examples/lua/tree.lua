-- A child that must end with all that it has started: stop reaches a process that leads a
-- session of its own and ignores SIGTERM.
local gipc = require "gipc"

local deaf = [[trap "" TERM; while :; do sleep 1; done]]

local function work(ready, held)
  local options = { group = "session", handles = { held = held } }
  assert(gipc.exec_process({ "sh", "-c", deaf }, options))
  ready:put "ready"
  gipc.sleep(3600)
end

gipc.run(function()
  local ready, child_ready = gipc.pipe()
  local reader, held = gipc.pipe()
  local child = assert(gipc.start_process({ group = "tree" }, work, child_ready, held))
  print(ready:get())
  child:stop(1.0)
  print("the child ended by signal " .. -child:exitcode())
  if not reader:get() then -- the last copy of the writer is closed
    print "and all that it has started is gone"
  end
end)
