-- What a template of parent.lua starts.
local gipc = require "gipc"

return {
  waits = function()
    gipc.sleep(600)
  end,
}
