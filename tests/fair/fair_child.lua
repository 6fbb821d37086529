-- What a template of fair.lua starts.
local gipc = require "gipc"

return {
  waits = function()
    gipc.sleep(600)
  end,
}
