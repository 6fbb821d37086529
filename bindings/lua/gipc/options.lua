--- The options of a start, from a Lua table to the library's.
-- @module gipc.options
local failure = require "gipc.failure"
local handle = require "gipc.handle"
local native = require "gipc.native"

local check = failure.check
local options = {}

local streams = { stdin = 0, stdout = 1, stderr = 2 }
local modes = {
  inherit = native.STDIO_INHERIT,
  null = native.STDIO_NULL,
  pipe = native.STDIO_PIPE,
  stdout = native.STDIO_STDOUT,
}
local groups = {
  inherit = native.GROUP_INHERIT,
  new = native.GROUP_NEW,
  session = native.GROUP_SESSION,
}

--- A list of strings for the library.
function options.words(list)
  if type(list) ~= "table" or list[1] == nil then
    failure.misuse "a program and its arguments are a list of strings"
  end
  local words = native.words_new()
  for _, word in ipairs(list) do
    if type(word) ~= "string" and type(word) ~= "number" then
      failure.misuse("an argument of a program is a string, not a " .. type(word))
    end
    word = tostring(word)
    if word:find("\0", 1, true) then
      failure.misuse "an argument of a program has no NUL"
    end
    check(native.words_add(words, word))
  end
  return words
end

--- Moves a handle into the child.
function options.pass(built, name, h)
  if getmetatable(h) ~= handle.Handle then
    failure.misuse "handles = { name = handle }"
  end
  if h.getting:busy() or h.putting:busy() then
    failure.misuse(native.strerror(native.ELOCKED))
  end
  check(native.options_pass(built, name, h.native))
end

local setters = {}

function setters.name(built, name)
  check(native.options_set_name(built, name))
end

function setters.daemon(built, daemon)
  check(native.options_set_daemon(built, daemon and 1 or 0))
end

function setters.env(built, env)
  for name, value in pairs(env) do
    check(native.options_set_env(built, name, value and tostring(value) or nil))
  end
end

function setters.clear_env(built, clear)
  if clear then
    check(native.options_clear_env(built))
  end
end

function setters.cwd(built, path)
  check(native.options_set_cwd(built, path))
end

function setters.group(built, group)
  check(native.options_set_group(built, groups[group] or failure.misuse 'group is "new" or "session"'))
end

function setters.keep_fds(built, list)
  if list == "all" then
    return check(native.options_keep_all_fds(built))
  end
  local numbers = native.numbers_new()
  for _, fd in ipairs(list) do
    check(native.numbers_add(numbers, fd))
  end
  check(native.options_keep_fds(built, numbers))
end

for stream, which in pairs(streams) do
  setters[stream] = function(built, what)
    local fd = type(what) == "number" and what or native.file_fd(what)
    if fd then
      return check(native.options_set_stdio(built, which, native.STDIO_FD, fd))
    end
    local mode = modes[what]
      or failure.misuse(stream .. ' is "inherit", "null", "pipe", "stdout", a descriptor or a file')
    check(native.options_set_stdio(built, which, mode, -1))
  end
end

function setters.handles() end -- exec_process passes them

--- The library's options for a table of ours.
function options.build(chosen)
  local built = check(native.options_new())
  for name, value in pairs(chosen) do
    local set = setters[name] or failure.misuse("there is no option " .. tostring(name))
    set(built, value)
  end
  return built
end

return options
