-- Children from a template: what they have, and the life of the template.
local gipc = require "gipc"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local jobs = "template_jobs"

-- The template and its spare, once a child was started.
local function servers()
  local pids = {}
  for pid in support.children():gmatch "%d+" do
    table.insert(pids, pid)
  end
  return pids
end

-- Perhaps nobody reaps it.
local function wait_until_ended(pid)
  support.wait_until(function()
    local state = support.process_state(pid)
    return state == nil or state == "Z"
  end)
end

-- Kills children that nothing here waits for.
local function kill(pids)
  local command = "kill -9 " .. table.concat(pids, " ") -- of the shell: not all have the program
  local child = gipc.exec_process { "sh", "-c", command }
  assert(child:join(10))
  for _, pid in ipairs(pids) do
    wait_until_ended(pid)
  end
end

local function run(template, code)
  local child = assert(template:start(jobs, "exits", code or 3))
  assert(child:join(10))
  equal(child:exitcode(), code or 3)
end

return function(test_anywhere)
  local function test(name, body)
    test_anywhere(name, function()
      if os.getenv "GIPC_TEST_OS" == "posix" then
        support.not_here "that half has no templates"
      end
      body()
    end)
  end

  test("a_child_of_a_template_has_the_modules_and_is_one_of_this_process", function()
    local template = assert(gipc.template { preload = { "template_wave" } })
    local r, w = gipc.pipe()
    local child = assert(template:start(jobs, "tell", w, 1, nil, gipc.null, { "two", x = false }, nil))
    local got = r:get(10)
    equal(got.parent, support.pid())
    equal(got.wave, true)
    equal(package.loaded.template_wave, nil)
    equal(got.count, 5)
    local arguments = got.arguments
    equal(arguments[1], 1)
    equal(arguments[2], nil)
    equal(arguments[3], gipc.null)
    equal(arguments[4][1], "two")
    equal(arguments[4].x, false)
    fails(gipc.EOF, "end", r:get(10))
    assert(child:join(10))
    equal(child:exitcode(), 0)
    equal(child:info().how, "wait")
    equal(child:info().ended, "return")
    r:close()
    template:close()
  end)

  test("exit_codes_of_a_template_are_those_of_a_child", function()
    local template = assert(gipc.template())
    run(template, 7)
    local text, code = support.output_of(function(options)
      return template:start(options, jobs, "fails")
    end)
    equal(code, 1)
    equal(text:find("template_jobs.lua:%d+: of the child\nstack traceback") ~= nil, true, text)
    text, code = support.output_of(function(options)
      return template:start(options, jobs, "no_such_function")
    end)
    equal(code, 1)
    equal(text:find '"template_jobs" has no function "no_such_function"' ~= nil, true, text)
    local r, w = gipc.pipe()
    local child = assert(template:start({ name = "a name" }, jobs, "holds", w))
    equal(r:get(10), "held")
    equal(child.name, "a name")
    equal(child:is_alive(), true)
    child:terminate()
    assert(child:join(10))
    equal(child:exitcode(), -15)
    r:close()
    template:close()
  end)

  test("handles_move_to_a_child_of_a_template", function()
    local template = assert(gipc.template())
    local mine, yours = gipc.pipe { duplex = true, codec = "raw" }
    local r, w = gipc.pipe()
    local child = assert(template:start(jobs, "echo", yours, w))
    equal(yours:closed() and w:closed(), true, "moved")
    for _ = 1, 100 do -- on a ring, too
      mine:put "\0\255"
      equal(mine:get(10), "\0\255")
    end
    mine:shutdown()
    equal(r:get(10), "end")
    assert(child:join(10))
    mine:close()
    r:close()
    template:close()
  end)

  test("options_of_a_child_of_a_template_take_effect", function()
    local template = assert(gipc.template())
    local r, w = gipc.pipe()
    local child = assert(template:start({ cwd = "/tmp", env = { A = "b", HOME = false }, stdin = "null", umask = 63,
      keep_fds = {} }, jobs, "shows", w))
    local got = r:get(10)
    equal(got.cwd, "/tmp")
    equal(got.a, "b")
    equal(got.home, nil)
    equal(got.input, "")
    assert(child:join(10))
    r:close()
    r, w = gipc.pipe()
    fails(gipc.ENOENT, '"/no/such"', template:start({ cwd = "/no/such" }, jobs, "tell", w))
    fails(gipc.EOPNOTSUPP, "keep_fds", template:start({ keep_fds = "all" }, jobs, "tell", w))
    fails(gipc.E2BIG, "128 KiB", template:start(jobs, "tell", w, ("x"):rep(200000)))
    raises("a function", template.start, template, jobs, "tell", w, { 1, print })
    w:put "not passed"
    equal(r:get(10), "not passed")
    w:close()
    r:close()
    template:close()
  end)

  test("a_child_of_a_template_has_a_scheduler_of_its_own", function()
    local template = assert(gipc.template())
    local r, w = gipc.pipe()
    local child = assert(template:start(jobs, "sleeps_in_tasks", w))
    equal(#r:get(10), 3)
    assert(child:join(10))
    r:close()
    template:close()
  end)

  test("streams_of_the_parent_end_beside_a_template", function()
    local template = assert(gipc.template())
    local r, w = gipc.pipe()
    local told, tells = gipc.pipe()
    local child = assert(template:start(jobs, "holds", tells))
    equal(told:get(10), "held")
    w:close()
    fails(gipc.EOF, "end", r:get(10))
    child:kill()
    assert(child:join(10))
    r:close()
    told:close()
    template:close()
  end)

  test("a_killed_template_is_replaced", function()
    local template = assert(gipc.template())
    kill(servers()) -- there is no spare yet
    run(template)
    for _ = 1, 2 do
      kill { servers()[1] }
      run(template)
    end
    kill(servers())
    run(template)
    template:close()
  end)

  test("a_template_of_a_module_that_cannot_be_loaded_is_an_error", function()
    if support.is_51 and support.loop ~= "none" and support.loop ~= "own" then
      support.not_here "Lua 5.1 cannot yield across pcall"
    end
    raises("it is broken", gipc.template, { preload = { "template_fails" } })
    raises("no_such_module", gipc.template, { preload = { "no_such_module" } })
    raises("ended during its start", gipc.template, { interpreter = "true" })
    equal(support.children(), "")
  end)

  test("a_template_without_an_interpreter_is_an_error", function()
    fails(gipc.ENOENT, "No such file", gipc.template { interpreter = "/no/such" })
    equal(support.children(), "")
  end)

  test("a_template_ends_with_its_program", function()
    local r, w = gipc.pipe()
    local child = support.program(([[
      local gipc = require "gipc"
      local template = assert(gipc.template { interpreter = %q })
      local child = assert(template:start("template_jobs", "exits", 0))
      child:join()
      local file = io.open "/proc/self/stat"
      local pid = file:read "*n"
      file = io.open("/proc/" .. pid .. "/task/" .. pid .. "/children")
      gipc.inherit "w":put(file:read "*a")
      gipc.sleep(1000)]]):format(support.interpreter), { handles = { w = w } })
    local pids = r:get(10)
    equal(pids:match "^%d+ %d+ $" ~= nil, true, pids)
    child:kill()
    assert(child:join(10))
    for pid in pids:gmatch "%d+" do
      wait_until_ended(pid)
    end
    r:close()
  end)

  test("a_wrong_use_of_a_template_is_an_error", function()
    local template = assert(gipc.template())
    raises("the module is a string", template.start, template, 5, "exits")
    raises("the name of the function is", template.start, template, jobs)
    raises("exec_process", template.start, template, { program = "/bin/sh" }, jobs, "exits")
    raises("no option", template.start, template, { nane = "x" }, jobs, "exits")
    local r, w = gipc.pipe()
    raises("given twice", template.start, template, jobs, "tell", r, r)
    w:close()
    r:close()
    r, w = gipc.pipe { codec = { tostring, tostring } }
    raises("argument 2 is a handle whose codec has no name", template.start, template, jobs, "tell", 1, w)
    w:close()
    r:close()
    run(template)
    template:close()
    template:close()
    equal(tostring(template), "gipc template: closed")
    raises("is closed", template.start, template, jobs, "exits")
    raises("preload is a list", gipc.template, { preload = "json" })
    raises("an item of preload is", gipc.template, { preload = { 3 } })
    raises("no option", gipc.template, { modules = {} })
  end)

  test("a_template_that_cannot_wait_for_its_start_leaves_no_process", function()
    support.needs_others()
    local before = support.children()
    local ok, message, over
    support.on.spawn(function() -- so that even the own scheduler has to yield
      for _ = 1, 2 do
        gipc.sleep(0.001)
      end
      over = true
    end)
    pcall(string.gsub, "x", "x", function()
      ok, message = pcall(gipc.template, { preload = { "template_wave" } })
    end)
    equal(support.children(), before)
    if not ok then
      equal(message:find "cannot wait here" ~= nil, true, message)
    else
      message:close()
    end
    support.wait_until(function()
      return over
    end)
  end)
end
