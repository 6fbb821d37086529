-- What is shown to people runs, and does what it says.
local gipc = require "gipc"
local support = require "support"
local equal = support.equal

local function read(path)
  local file = assert(io.open(path), path)
  local text = file:read "*a"
  file:close()
  return text
end

-- What a program prints.
local function printed(...)
  local arguments = { support.interpreter, ... }
  local text, code = support.output_of(function(options)
    return gipc.exec_process(arguments, options)
  end, "stdout")
  equal(code, 0, table.concat(arguments, " "))
  return text
end

return function(test)
  local top = support.suite:gsub("tests/bindings/lua/suite%.lua$", "")

  local once = support.once(test)

  for _, name in ipairs { "echo", "worker_pool", "remote_pool", "several", "talk_to_child", "supervised", "keeper" } do
    once("the_example_" .. name .. "_prints_what_is_expected", function()
      local path = top .. "tests/examples/lua/" .. name
      equal(printed(path .. ".lua"), read(path .. ".expected"))
    end)
  end

  for name, why in pairs { template = "no templates", tree = "no trees that find all" } do
    once("the_example_" .. name .. "_prints_what_is_expected", function()
      if os.getenv "GIPC_TEST_OS" == "posix" then
        support.not_here("that half has " .. why)
      end
      local path = top .. "tests/examples/lua/" .. name
      equal(printed(path .. ".lua"), read(path .. ".expected"))
    end)
  end

  -- Not in this process: a loop that is loaded has descriptors.
  local function needs(name)
    local found = support.program(("os.exit(pcall(require, %q) and 0 or 1)"):format(name))
    found:join()
    if found:exitcode() ~= 0 then
      support.not_here("no " .. name)
    end
  end

  once("the_example_listener_prints_what_is_expected", function()
    if os.getenv "GIPC_TEST_OS" == "posix" then
      support.not_here "messages have descriptors on Linux only"
    end
    needs "luv"
    local path = top .. "tests/examples/lua/listener"
    equal(printed(path .. ".lua"), read(path .. ".expected"))
  end)

  for _, name in ipairs { "luv", "cqueues", "copas" } do
    once("the_example_of_" .. name .. "_prints_what_is_expected", function()
      needs(name)
      local path = top .. "tests/examples/lua/loop_" .. name
      equal(printed(path .. ".lua"), read(path .. ".expected"))
    end)
  end

  once("the_example_from_luv_spawn_prints_what_is_expected", function()
    needs "luv"
    local path = top .. "tests/examples/lua/from_luv_spawn"
    equal(printed(path .. ".lua"), read(path .. ".expected"))
  end)

  once("the_programs_of_the_readme_print_what_they_say", function()
    local found = 0
    for program in read(top .. "bindings/lua/README.md"):gmatch "```lua\n(.-)```" do
      local wanted = {}
      for line in program:gmatch "%-%->([^\n]*)" do
        table.insert(wanted, line:match "^ *(%S*)")
      end
      equal(printed("-e", program), table.concat(wanted, "\n") .. "\n")
      found = found + 1
    end
    equal(found > 0, true)
  end)

  -- The types of the annotations are those of the module.
  once("every_public_function_is_annotated", function()
    local meta = ""
    for _, folder in ipairs { "", "pool/", "keeper/" } do
      meta = meta .. read(top .. "bindings/lua/gipc/" .. folder .. "meta.lua")
    end
    local function has(owner, name)
      equal(meta:find(("function %s%s("):format(owner, name), 1, true) ~= nil, true, owner .. name)
    end
    for name, value in pairs(gipc) do
      if type(value) == "function" then
        has("gipc.", name)
      else
        equal(meta:find("gipc." .. name .. " ", 1, true) ~= nil, true, name)
      end
    end
    local r, w = gipc.pipe()
    local child = gipc.start_process(function() end)
    local task = gipc.spawn(function() end)
    local pool = gipc.pool({}, print)
    local objects = { ["Handle:"] = r, ["Process:"] = child, ["Task:"] = task, ["Pool:"] = pool }
    objects["PoolTask:"] = pool:submit(1)
    pool:stop(0)
    objects["Keeper:"] = gipc.keep { { name = "a", work = function() end, restart = "never" } }
    objects["Keeper:"]:stop()
    for owner, object in pairs(objects) do
      for name in pairs(getmetatable(object).__index) do
        if not name:find "^__" then
          has(owner, name)
        end
      end
    end
    for name in pairs(require("gipc.template").Template) do
      if not name:find "^__" then
        has("Template:", name)
      end
    end
    child:join()
    task:join()
    r:close()
    w:close()
  end)
end
