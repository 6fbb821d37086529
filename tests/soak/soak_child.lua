-- What the children and the echoing tasks of soak.lua do.
local gipc = require "gipc"

local soak_child = {}

-- Answers each message, until the end, or until "close".
function soak_child.echo(handle)
  while true do
    local message = handle:get()
    if not message or message == "close" then
      break
    end
    local handles = message == "moves" and handle:take_handles { codec = "raw" } or {}
    if handles[1] then
      assert(handles[1]:put "moved")
      handles[1]:close()
    elseif not handle:put(message) then
      break
    end
  end
  handle:abort()
end

-- Answers three messages, and ends.
function soak_child.answer_and_end(handle, how, number)
  for _ = 1, 3 do
    assert(handle:put(assert(handle:get())))
  end
  if how == "exit" then
    os.exit(number)
  elseif how == "quit" then
    os.exit(number, true)
  elseif how == "killed" then
    handle:put(("x"):rep(2 ^ 20)) -- its reader kills instead of reading
    gipc.sleep(600)
  end
end

return soak_child
