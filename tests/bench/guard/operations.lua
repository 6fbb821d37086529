-- One operation of the Lua package, a number of times; see operations.py.
--   operations.lua [OPERATION COUNT]
local gipc = require "gipc"

local message = ("x"):rep(64)

local function put_get(options)
  return function(count)
    local r, w = gipc.pipe(options)
    for _ = 1, count do
      w:put(message)
      r:get()
    end
  end
end

local function many(count)
  local r, w = gipc.pipe { codec = "raw" }
  local batch = {}
  for i = 1, 100 do
    batch[i] = message
  end
  for _ = 1, count / 100 do
    w:put_many(batch)
    for _ = 1, 100 do
      r:get()
    end
  end
end

local function pipe_close(count)
  for _ = 1, count do
    local r, w = gipc.pipe()
    r:close()
    w:close()
  end
end

-- Without starts of children.  The seed of Lua's hashes comes from the time, the collector
-- runs at another moment in each run, and a join that finds the child ended takes less: their
-- counts vary by more than what the guard is to find.  Those of C have the same calls.
local operations = {
  { "put_get_64", 500, put_get { codec = "raw" } },
  { "put_get_64_msgpack", 500, put_get {} },
  { "put_many_get_64", 2000, many },
  { "pipe_close", 100, pipe_close },
}
for _, operation in ipairs(operations) do
  local name, count, run = table.unpack(operation)
  if not arg[1] then
    print(name, count, 2 * count)
  elseif arg[1] == name then
    gipc.run(run, tonumber(arg[2]))
  end
end
