-- Two services that are kept running: the second starts when the first is ready.
local gipc = require "gipc"

local readers = {}

local function count(writer, start)
  if start == 1 then
    os.exit(1)
  end
  gipc.ready()
  writer:put(start)
  gipc.sleep(60)
end

gipc.run(function()
  local keeper = gipc.keep {
    {
      name = "counter",
      work = count,
      args = function() -- asked before each start, as a handle passes into one process
        local reader, writer = gipc.pipe()
        table.insert(readers, reader)
        return writer, #readers
      end,
      notify = true, -- it says when it is ready
      first_delay = 0.01, -- seconds
    },
    { name = "sleeper", argv = { "sleep", "60" } },
  }
  while keeper:service("sleeper").state ~= "ready" do
    gipc.sleep(0.01)
  end
  print("start", readers[2]:get())
  print("restarts", keeper:service("counter").restarts)
  local first = keeper:service("sleeper").pid
  assert(keeper:reload "sleeper")
  print("another sleeper", keeper:service("sleeper").pid ~= first)
  keeper:stop()
  print("signal", keeper:service("counter").exit.signal)
end)
