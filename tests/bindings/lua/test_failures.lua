-- Errors: they keep their value, end what they should, and say what is wrong.
local gipc = require "gipc"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

-- What a program prints to stderr, and its exit code.
local function program(code)
  return support.output_of(function(options)
    return gipc.exec_process({ support.interpreter, "-e", code }, options)
  end)
end

return function(test)
  local once = support.once(test)

  once("an_error_of_the_main_task_ends_the_others_and_the_run", function()
    local text, code = program [[
      local gipc = require "gipc"
      gipc.run(function()
        gipc.spawn(function()
          while true do
            gipc.sleep(0.01)
          end
        end)
        gipc.spawn(function()
          gipc.sleep(60)
        end)
        error "boom"
      end)]]
    equal(code, 1)
    equal(text:find "boom" ~= nil, true, text)
    local _, traces = text:gsub("stack traceback:", "")
    equal(traces, 1)
  end)

  once("an_error_of_the_main_task_ends_a_child", function()
    local text, code = support.output_of(function(options)
      return gipc.start_process(options, function()
        gipc.spawn(function()
          while true do
            pcall(gipc.sleep, 0.01) -- also one that does not end with its cancellation
          end
        end)
        error "boom"
      end)
    end)
    equal(code, 1)
    local _, traces = text:gsub("stack traceback:", "")
    equal(traces, 1, text)
  end)

  once("a_second_run_after_an_error_is_not_disturbed_by_the_first", function()
    local text, code = program [[
      local gipc = require "gipc"
      local old = false
      local ok, message = pcall(gipc.run, function()
        gipc.spawn(function()
          gipc.sleep(0.02)
          old = true
          gipc.sleep(60)
        end)
        error { "a value" }
      end)
      assert(not ok and message[1] == "a value")
      assert(gipc.run(function() gipc.sleep(0.05) return "second" end) == "second")
      assert(not old, "a task of the first run is resumed")]]
    equal(code, 0, text)
  end)

  -- Ctrl-C in a program that continues, such as an interactive one.
  once("an_interrupt_ends_a_run_and_its_tasks", function()
    local r, w = gipc.pipe { codec = "raw" }
    local text, code
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    local child = support.program([[
      local gipc = require "gipc"
      local ready = gipc.inherit("w", { codec = "raw" })
      local old = false
      local ok, message = pcall(gipc.run, function()
        gipc.spawn(function() gipc.sleep(0.3) old = true gipc.sleep(60) end)
        ready:put "ready"
        gipc.sleep(30)
      end)
      assert(not ok and message:find "interrupted", message)
      assert(gipc.run(function() gipc.sleep(0.4) return "done" end) == "done")
      assert(not old)]], { handles = { w = w }, stderr = file })
    file:close()
    equal(r:get(10), "ready")
    while not support.sleeps(child.pid) do
    end
    child:signal "INT"
    assert(child:join(20))
    file = io.open(path)
    text, code = file:read "*a", child:exitcode()
    file:close()
    os.remove(path)
    equal(code, 0, text)
    r:close()
  end)

  test("an_exception_keeps_its_class_and_value", function()
    local value = setmetatable({ code = 7 }, {
      __tostring = function()
        error "no text"
      end,
    })
    if support.loop == "own" then
      local task = gipc.spawn(function()
        error(value)
      end)
      local ok, failure = task:join()
      equal(ok, nil)
      equal(failure, value)
      equal(tostring(task):find "no text" ~= nil or tostring(task):find "table" ~= nil, true)
      task = gipc.spawn(function()
        error("text", 0)
      end)
      equal(select(2, task:join()), "text")
      local text, code = support.output_of(function(options)
        return gipc.start_process(options, function()
          gipc.spawn(error, value)
          support.settle()
        end)
      end)
      equal(code, 1, text)
      equal(text:find "error in a task: a table that has no text" ~= nil, true, text)
    end
    -- Through a generator, a codec and a child.
    local _, failure = pcall(gipc.wrap(function()
      error(value)
    end))
    equal(failure, value)
    local r, w = gipc.pipe {
      codec = {
        function()
          error(value)
        end,
        tostring,
      },
    }
    _, failure = pcall(w.put, w, 1)
    equal(failure, value)
    r:close()
    w:close()
    local text, code = support.output_of(function(options)
      return gipc.start_process(options, function()
        error(value)
      end)
    end)
    equal(code, 1)
    equal(text:find "a table that has no text" ~= nil, true, text)
  end)

  once("a_child_may_leave_by_an_exit_that_closes_its_state", function()
    local exit = os.exit
    local child = support.program [[
      local real_exit = os.exit
      local gipc = require "gipc"
      local child = gipc.start_process(function() real_exit(4, true) end)
      assert(child:join(20))
      os.exit(child:exitcode() == 4 and 0 or 1)]]
    equal(exit, os.exit)
    assert(child:join(20))
    equal(child:exitcode(), 0)
  end)

  once("a_program_that_forbids_globals_can_use_it", function()
    local text, code = program [[
      local mt = {}
      local function refuse(_, name) error("global " .. tostring(name), 2) end
      setmetatable(_G, { __index = refuse, __newindex = refuse })
      local gipc = require "gipc"
      local r, w = gipc.pipe()
      w:put { 1 }
      assert(r:get()[1] == 1)
      gipc.run(function()
        local p = gipc.start_process(function() gipc.sleep(0.001) end)
        p:join()
        assert(p:exitcode() == 0)
        gipc.spawn(print, "x")
      end)
      for _, name in ipairs { "luv", "cqueues", "copas" } do pcall(gipc.use, name) end
      assert(getmetatable(_G).__index == refuse)
      assert(rawget(_G, "swig_type") == nil)]]
    equal(code, 0, text)
  end)

  once("every_error_of_the_system_has_its_name", function()
    for _, name in ipairs { "EAGAIN", "EPERM", "EMFILE", "ENOTDIR", "ESRCH", "ENOMEM", "ELOCKED", "EDIRECTION" } do
      equal(type(gipc[name]), "number", name)
      equal(gipc[name] < 0, true, name)
    end
    fails(gipc.ENOTDIR, "Not a directory", gipc.exec_process({ "true" }, { cwd = "/etc/passwd" }))
    raises("read_fd is an integer, 0 or more, not 0.5", gipc.open, 0.5)
    fails(gipc.EBADF, "descriptor", gipc.open(200))
  end)

  once("the_own_scheduler_warns_inside_another_loop", function()
    if not support.has "cqueues" then
      support.not_here "no cqueues"
    end
    local text, code = program [[
      local gipc = require "gipc"
      local cq = require "cqueues".new()
      cq:wrap(function()
        gipc.sleep(0.001)
        gipc.sleep(0.001)
      end)
      assert(cq:loop())]]
    equal(code, 0, text)
    local _, warnings = text:gsub('gipc.use "cqueues"', "")
    equal(warnings, 1, text)
  end)

  -- The parent must not run on as if it were the child.
  once("a_process_that_cannot_be_started_is_an_error_and_no_child", function()
    local options = { rlimits = { nproc = 0 } }
    local id = io.popen "id -u"
    if id:read "*n" == 0 then -- root has no such limit
      options.user = { uid = 65534, gid = 65534 }
    end
    id:close()
    local child = gipc.start_process(options, function()
      for _, start in ipairs { function() return gipc.start_process(os.exit, 1) end, function()
        return gipc.exec_process { "true" }
      end, function()
        return gipc.launch { "true" }
      end } do
        local process, message, code = start()
        if process or type(message) ~= "string" or code ~= gipc.EAGAIN then
          os.exit(2)
        end
      end
      local pool = gipc.pool({ workers = 1, first_delay = 0.001 }, os.exit)
      local _, err = pool:call(3)
      os.exit(err.class == "PoolBroken" and err.message:find "no worker can be started" and 7 or 4)
    end)
    assert(child:join(10))
    equal(child:exitcode(), 7)
  end)
end
