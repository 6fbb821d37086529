--- Converts a table to the options of a start.
-- @module gipc.options
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local handle = require "gipc.handle"
local native = require "gipc.native"

local check = failure.check
local options = {}

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
  tree = native.GROUP_TREE,
}
local resources = native.rlimits()

--- A list of strings for the library.
function options.words(list)
  if type(list) ~= "table" or list[1] == nil then
    failure.misuse("a program and its arguments are a list of strings, not "
      .. (type(list) == "table" and "an empty one" or failure.describe(list)))
  end
  local words = native.words_new()
  for i = 1, #list do
    local word = list[i]
    if type(word) ~= "string" and type(word) ~= "number" then
      failure.misuse(("argument %d of a program is a string, not %s"):format(i, failure.describe(word)))
    end
    word = tostring(word)
    if word:find("\0", 1, true) then
      failure.misuse(("argument %d of a program has no NUL"):format(i))
    end
    check(native.words_add(words, word))
  end
  return words
end

--- Passes a handle to the child.
function options.pass(built, name, h)
  if getmetatable(h) ~= handle.Handle then
    failure.misuse("handles is { name = handle }, and " .. failure.describe(h) .. " is not a handle")
  end
  if h.getting:is_locked_elsewhere() or h.putting:is_locked_elsewhere() then
    failure.misuse(native.strerror(native.ELOCKED))
  end
  if name ~= nil then
    argument.string(name, "a name in handles")
  end
  local done, message, code = native.options_pass(built, name, h.native)
  if code == native.EINVAL then
    failure.misuse(name == nil and "a handle is given twice"
      or ("%q is not a valid name of a handle, or its handle is given twice"):format(name))
  end
  check(done, message)
end

-- ---- Setters --------------------------------------------------------------------

local setters = {}

-- Raises an error that names a value which the library does not accept.
local function accepted(what, value, done, message, code)
  if code == native.EINVAL then
    failure.misuse(("%s is not valid: %s"):format(what, failure.describe(value)))
  end
  return check(done, message)
end

local function numbers(list, convert, what)
  local result = native.numbers_new()
  for _, item in ipairs(argument.list(list, what)) do
    check(native.numbers_add(result, convert(item, "an item of " .. what)))
  end
  return result
end

-- Options that one function of the library sets to one checked value.
local function simple(name, set, convert, ...)
  local parameters = { ... }
  setters[name] = function(built, value)
    accepted(name, value, set(built, convert(value, name, parameters[1])))
  end
end

local function flag(value, what)
  return argument.boolean(value, what) and 1 or 0
end

simple("name", native.options_set_name, argument.string)
simple("daemon", native.options_set_daemon, flag)
simple("death_signal", native.options_set_death_signal, argument.signal)
simple("cwd", native.options_set_cwd, argument.string)
simple("program", native.options_set_program, argument.string)
simple("terminal", native.options_set_terminal, argument.fd)
simple("umask", native.options_set_umask, argument.integer)
simple("nice", native.options_set_nice, argument.integer, -math.huge)
simple("uid", native.options_set_uid, argument.id)
simple("gid", native.options_set_gid, argument.id)
simple("no_new_privileges", native.options_set_no_new_privileges, flag)

function setters.env(built, env)
  for name, value in pairs(argument.table(env, "env", "{ NAME = value }")) do
    if type(name) ~= "string" or name:find("\0", 1, true) then
      failure.misuse(("env is { NAME = value }, and %s is not a name"):format(failure.describe(name)))
    elseif type(value) ~= "string" and type(value) ~= "number" and value ~= false then
      failure.misuse(("env.%s is a string, a number or false, not %s"):format(name, failure.describe(value)))
    end
    local text = value and argument.string(tostring(value), "env." .. name) or nil
    local done = native.options_set_env(built, name, text)
    if not done then
      failure.misuse(("env: %q is not a valid name"):format(name))
    end
  end
end

function setters.clear_env(built, clear)
  if argument.boolean(clear, "clear_env") then
    check(native.options_clear_env(built))
  end
end

function setters.group(built, group)
  check(native.options_set_group(built, groups[group] or failure.misuse 'group is "inherit", "new", "session" or "tree"'))
end

function setters.keep_fds(built, list)
  if list == "all" then
    return check(native.options_keep_all_fds(built))
  end
  accepted("keep_fds", list, native.options_keep_fds(built, numbers(list, argument.fd, "keep_fds")))
end

function setters.map_fds(built, map)
  for child_fd, fd in pairs(argument.table(map, "map_fds", "{ [number there] = descriptor }")) do
    accepted("map_fds", fd, native.options_map_fd(built, argument.fd(fd, "a value of map_fds"),
      argument.integer(child_fd, "a key of map_fds")))
  end
end

function setters.user(built, user)
  argument.options(user, "user", { uid = true, gid = true, groups = true })
  accepted("user", user, native.options_set_user(built, argument.id(user.uid, "user.uid"),
    argument.id(user.gid, "user.gid"), numbers(user.groups or {}, argument.id, "user.groups")))
end

-- -1 stands for "unlimited".
local function limit(value, what)
  if value == math.huge or value == "unlimited" then
    return -1
  end
  return argument.size(value, what)
end

function setters.rlimits(built, limits)
  for name, value in pairs(argument.table(limits, "rlimits", "{ nofile = number }")) do
    local resource = resources[name] or failure.misuse("rlimits has no " .. failure.describe(name))
    local pair = type(value) == "table" and value or { value, value }
    local what = "rlimits." .. name
    if not native.set_rlimit(built, resource, limit(pair[1], what), limit(pair[2], what)) then
      failure.misuse(what .. " is not valid: a number, or { soft, hard } with soft no more than hard")
    end
  end
end

function setters.block_signals(built, list)
  for _, signal in ipairs(argument.list(list, "block_signals")) do
    local number = argument.signal(signal, "an item of block_signals")
    accepted("block_signals", signal, native.options_block_signal(built, number))
  end
end

for which, stream in pairs { [0] = "stdin", "stdout", "stderr" } do
  setters[stream] = function(built, what)
    local fd = type(what) == "number" and argument.integer(what, stream) or native.file_fd(what)
    if fd then
      return accepted(stream, what, native.options_set_stdio(built, which, native.STDIO_FD, fd))
    end
    local mode = modes[what]
      or failure.misuse(stream .. ' is "inherit", "null", "pipe", "stdout", a descriptor or a file')
    accepted(stream, what, native.options_set_stdio(built, which, mode, -1))
  end
end

function setters.handles(_, handles) -- exec_process passes them
  argument.table(handles, "handles", "{ name = handle }")
end

--- The names of all options.
function options.names()
  local names = {}
  for name in pairs(setters) do
    names[name] = true
  end
  return names
end

--- Makes the options of the library from a table.
function options.build(chosen)
  local built = check(failure.collecting(native.options_new))
  for name, value in pairs(argument.options(chosen, "the second argument", setters)) do
    setters[name](built, value)
  end
  return built
end

-- What failed, by the part of the start.
local parts = {
  pass = "handles",
  stdio = "stdin, stdout or stderr",
  map_fd = "map_fds",
  rlimit = "rlimits",
}

--- The message of a failed start, which names what failed.
-- @tparam string program
function options.explain(built, chosen, program, message)
  local part = native.options_failed(built)
  if part == "program" then
    return ("cannot run %q: %s"):format(chosen.program or program, message)
  elseif part == "cwd" then
    return ("cannot change to the directory %q: %s"):format(chosen.cwd, message)
  elseif part then
    return ("cannot start the child, because of %s: %s"):format(parts[part] or part, message)
  end
  return message
end

return options
