--- Calls of a body that release an object however the body ends.
-- @module gipc.guard
local jit = rawget(_G, "jit")

local function finish(object, ok, ...)
  object:release()
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Calls body(...), and then object:release().
-- @return what the body returns
local guard
if _VERSION >= "Lua 5.4" then
  -- In a string, as other versions do not know the syntax.  A to-be-closed
  -- variable also releases when the coroutine is closed while it waits.
  guard = load([[
    local object, body = ...
    local closed <close> = setmetatable({}, { __close = function() object:release() end })
    return body(select(3, ...))]], debug.getinfo(1, "S").source)
elseif _VERSION == "Lua 5.1" and not jit then
  -- No yield crosses pcall there, so an error leaves the object unreleased.
  function guard(object, body, ...)
    return finish(object, true, body(...))
  end
else
  function guard(object, body, ...)
    return finish(object, pcall(body, ...))
  end
end

return guard
