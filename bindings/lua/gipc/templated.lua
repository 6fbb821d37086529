--- What a template and its children do themselves.  gipc.template starts the program.
-- @module gipc.templated
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local gipc = require "gipc"
local native = require "gipc.native"
local process = require "gipc.process"

local unpack = table.unpack or rawget(_G, "unpack")

local function load_all(preload)
  for _, name in ipairs(preload) do
    require(name)
  end
end

-- In the child: the arguments, with the handles that were passed.
local function arguments_of(call)
  local arguments = { n = call.count }
  for i = 1, call.count do
    local codec_of_handle = call.handles[i]
    if codec_of_handle then
      arguments[i] = assert(gipc.inherit("gipc." .. i, { codec = codec_of_handle }))
    else
      arguments[i] = call.arguments[i]
    end
  end
  return arguments
end

local function run(data)
  process.be_child(function()
    local _, decode = codec.find "msgpack"
    local call = decode(data)
    local module = require(call.module)
    local f = type(module) == "table" and module[call.name]
    if type(f) ~= "function" then
      error(("the module %q has no function %q"):format(call.module, call.name), 0)
    end
    local arguments = arguments_of(call)
    return f(unpack(arguments, 1, arguments.n))
  end, { n = 0 })
end

return function(preload)
  local ready = assert(gipc.inherit("gipc.ready", { codec = "raw" }))
  codec.find "msgpack"
  local ok, message = pcall(load_all, preload)
  ready:put(ok and "" or failure.text(message))
  ready:close()
  if not ok then
    os.exit(1)
  end
  collectgarbage() -- garbage would be copied when a child frees it
  run(assert(native.template_serve()))
end
