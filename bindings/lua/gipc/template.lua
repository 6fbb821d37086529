--- Children that are a fork of a small interpreter, which has loaded what they need: they
-- start as fast in a large program as in a small one.
-- @module gipc.template
local argument = require "gipc.argument"
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local guard = require "gipc.guard"
local handle = require "gipc.handle"
local loop = require "gipc.loop"
local native = require "gipc.native"
local options = require "gipc.options"
local process = require "gipc.process"

--- A process that starts children for this one; gipc.template makes it.
-- @type Template
local Template = {}
Template.__index = Template
Template.__name = "gipc template"

-- The first word of the command that started this program.  A Lua without a script has it
-- at index 0.
local function own_interpreter()
  local words = rawget(_G, "arg")
  local first = 0
  while type(words) == "table" and words[first - 1] do
    first = first - 1
  end
  local word = type(words) == "table" and words[first]
  if not word or first == 0 and not ("/" .. word):find "/lua[^/]*$" then
    failure.misuse "the program of this Lua is not known: give it as the option interpreter"
  end
  return word
end

-- The modules are searched where this program searches them.
local function command(interpreter, preload)
  local names = {}
  for i, name in ipairs(argument.list(preload, "preload")) do
    names[i] = ("%q"):format(argument.string(name, "an item of preload"))
  end
  local code = ("package.path, package.cpath = %q, %q require('gipc.templated')({ %s })")
    :format(package.path, package.cpath, table.concat(names, ", "))
  return options.words { interpreter, "-e", code }
end

local function raw_pipe()
  local a, b, code = failure.collecting(native.pipe)
  if not a then
    return failure.result(b, code)
  end
  return handle.wrap(a, { codec = "raw" }), handle.wrap(b, { codec = "raw" })
end

-- A template that starts, and the pipe through which it says that it is ready.
local Start = {}
Start.__index = Start

function Start:release()
  self.reader:close()
  if not self.writer:closed() then -- it was not passed
    self.writer:close()
  end
  if self.native then
    native.template_close(self.native)
  end
end

-- Starts the interpreter, and waits until it has loaded the modules; false and a message if
-- that fails.
local function wait_for_start(self, command)
  -- Where this cannot wait, that is an error before there is a process.
  loop.wait(self.reader:fd "r", "r", 0)
  local native_options = options.build {}
  options.pass(native_options, "gipc.ready", self.writer)
  local made, message, code = failure.collecting(native.template_exec, command, native_options)
  if not made then
    return failure.result(message, code)
  end
  self.native = made
  local answer = self.reader:get()
  if answer ~= "" then
    return false, answer or "the template ended during its start"
  end
  self.native = nil
  return made
end

local function execute(self)
  local reader, writer, code = raw_pipe()
  if not reader then
    return nil, writer, code
  end
  local start = setmetatable({ reader = reader, writer = writer }, Start)
  local made, message, failed = guard(start, wait_for_start, start, self.command)
  if made == false then
    failure.misuse(message)
  elseif not made then
    return nil, message, failed
  end
  self.native = made
  return self
end

--- Starts a process that starts children for this one: a new interpreter, which loads the
-- modules and then is forked for each child.  Waits until they are loaded.
-- @tparam[opt] table chosen preload: a list of names of modules; interpreter: the program
-- to run, default that of this program
-- @treturn Template; or nil, message, code: gipc.EOPNOTSUPP where there are no templates
-- (other systems than Linux, C libraries other than glibc)
local function new(chosen)
  chosen = argument.options(chosen, "the argument", { preload = true, interpreter = true })
  local interpreter = chosen.interpreter and argument.string(chosen.interpreter, "interpreter") or own_interpreter()
  return execute(setmetatable({ command = command(interpreter, chosen.preload or {}) }, Template))
end

-- ---- Starting -------------------------------------------------------------------

-- The call as bytes.  Handles among the arguments are passed by name.
local function encoded(native_options, module, name, arguments)
  local call = { module = module, name = name, count = arguments.n, arguments = {}, handles = {} }
  for i = 1, arguments.n do
    local item = arguments[i]
    if getmetatable(item) == handle.Handle then
      options.pass(native_options, "gipc." .. i, item)
      if type(item.codec) ~= "string" then
        failure.misuse(("argument %d is a handle whose codec has no name"):format(i))
      end
      call.handles[i] = item.codec
    else
      call.arguments[i] = item
    end
  end
  local encode = codec.find "msgpack"
  local ok, data = pcall(encode, call)
  return ok and data or codec.refuse("msgpack", call, data)
end

local function start_from(self, data, native_options)
  if not self.native then
    failure.misuse "the template is closed"
  end
  local child, message, code = failure.collecting(native.template_start, self.native, data, native_options)
  if code ~= native.EDEAD then
    return child, message, code
  end
  -- It was killed, and so was the spare.
  native.template_close(self.native)
  local again, why, failed = execute(self)
  if not again then
    return nil, why, failed
  end
  return failure.collecting(native.template_start, self.native, data, native_options)
end

local function start(self, chosen, module, name, ...)
  argument.string(module, "the module")
  argument.string(name, "the name of the function")
  local native_options = process.options_of_call(chosen)
  local data = encoded(native_options, module, name, { n = select("#", ...), ... })
  local child, message, code = start_from(self, data, native_options)
  if child then
    return process.wrap(child)
  elseif code == native.E2BIG then
    message = "the arguments and options are more than 128 KiB: put them to a handle"
  end
  return failure.result(options.explain(native_options, chosen, "", message), code)
end

--- Starts a child that calls a function of a module: `require(module)[name](...)`.
-- Handles among the arguments are passed.  The other arguments are what MessagePack has,
-- of 128 KiB at most.
-- @tparam[opt] table chosen options
-- @tparam string module
-- @tparam string name
-- @treturn Process; or nil, message, code
function Template:start(chosen, ...)
  if type(chosen) == "table" then
    return start(self, chosen, ...)
  end
  return start(self, {}, chosen, ...)
end

--- Ends the template.  Its children run on.
function Template:close()
  if self.native then
    native.template_close(self.native)
    self.native = nil
  end
  return true
end

-- Called at the end of a block on Lua 5.4.
Template.__close = Template.close

function Template:__tostring()
  return "gipc template: " .. (self.native and "open" or "closed")
end

return { Template = Template, new = new }
