-- Two services that are kept running: the second starts when the first is ready.
local gipc = require "gipc"

gipc.run(function()
  local reader, starts = nil, 0

  local keeper
  keeper = gipc.keep {
    {
      name = "numbers",
      notify = true, -- it says when it is ready
      args = function() -- asked before each start, as a handle passes into one process
        local writer
        reader, writer = gipc.pipe()
        starts = starts + 1
        return writer, starts
      end,
      work = function(writer, start)
        gipc.ready()
        writer:put(start)
        if start < 3 then
          os.exit(1)
        end
        gipc.sleep(60)
      end,
      first_delay = 0.01,
    },
    { name = "web", argv = { "sleep", "60" } },
    on_change = function(change)
      if change.state ~= "starting" then
        print(change.service, change.state, change.why or "")
      end
      if change.service == "web" and change.state == "ready" then
        gipc.spawn(function()
          print("number", reader:get())
          keeper:reload "web"
          keeper:stop()
        end)
      end
    end,
  }
  print(keeper:wait())
end)
