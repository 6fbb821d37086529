--- Generators that wait: coroutines inside a coroutine of the loop.
--
-- A wait yields to the loop.  In a coroutine that the program resumes, the same yield
-- would return a value to the program.  A generator of gipc.wrap asks the coroutine that
-- uses it to make the wait, on any loop.
-- @module gipc.generator
local failure = require "gipc.failure"

local generator = {}

local jit = rawget(_G, "jit")
local is_51 = _VERSION == "Lua 5.1" and not jit

local generators = setmetatable({}, { __mode = "k" }) -- coroutines made by wrap
local users = setmetatable({}, { __mode = "kv" }) -- the coroutine that resumed each last
local request = {} -- what such a coroutine yields first in order to wait

--- What is wrong with a wait in any other coroutine.
generator.misuse = "a coroutine inside a task cannot wait: make it with gipc.wrap"

local function answer(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Calls f(...), which waits, where a wait is possible.
function generator.outside(f, ...)
  if generators[coroutine.running() or false] then
    return answer(coroutine.yield(request, f, ...))
  end
  return f(...)
end

-- An error of the wait, such as "cancelled", belongs to the generator.  No yield
-- crosses pcall on Lua 5.1, where the error is its user's at once.
local function perform(f, ...)
  if is_51 then
    return true, generator.outside(f, ...)
  end
  return pcall(generator.outside, f, ...)
end

--- As coroutine.wrap, for a function that uses gipc.
-- @tparam function f
-- @treturn function
function generator.wrap(f)
  if type(f) ~= "function" then
    failure.misuse("gipc.wrap takes a function, not " .. failure.describe(f))
  end
  local co = coroutine.create(f)
  generators[co] = true
  local function resumed(ok, first, ...)
    if not ok then
      error(first, 0)
    elseif first == request then
      return resumed(coroutine.resume(co, perform(...)))
    end
    return first, ...
  end
  return function(...)
    users[co] = coroutine.running()
    return resumed(coroutine.resume(co, ...))
  end
end

--- The coroutine that a generator waits for; nil of others.
function generator.user_of(co)
  return users[co]
end

local function raise()
  failure.misuse(generator.misuse)
end

--- The metatable of what a wait yields on a loop that cannot know whether it is the
-- loop that receives it: each use by a program is the error above.
-- @tparam[opt] table methods what the loop uses of it
function generator.yielded(methods)
  local meta = { __name = "gipc wait" }
  for _, event in ipairs {
    "newindex", "call", "concat", "len", "unm", "add", "sub", "mul", "div", "mod", "pow", "lt", "le", "tostring",
  } do
    meta["__" .. event] = raise
  end
  meta.__index = methods or raise
  return meta
end

return generator
