-- A worker in Lua, for a pool in any language; worker.c describes it.
local gipc = require "gipc"

local words = {}

function words.fail()
  error { class = "Refused", message = "too groß" }
end

function words.exit()
  os.exit(7)
end

function words.kill()
  os.execute "kill -KILL $PPID"
end

function words.hang()
  while true do
    gipc.sleep(60)
  end
end

local function reverse(task)
  return words[task] and words[task]() or task:reverse()
end

local function same(value)
  return value
end

assert(gipc.serve(arg[1] == "raw" and reverse or same, { codec = arg[1] }))
