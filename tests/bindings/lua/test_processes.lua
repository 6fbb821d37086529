-- Function children.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local SIGTERM, SIGKILL, SIGSTOP = 15, 9, 19

local function ends_with(code, f, ...)
  local child = gipc.start_process(f, ...)
  assert(child:join(10))
  equal(child:exitcode(), code)
  child:close()
end

return function(test)
  test("a_child_echoes", function()
    local mine, yours = gipc.pipe { duplex = true }
    local child = gipc.start_process({ name = "echo" }, support.echo, yours)
    equal(child.name, "echo")
    equal(tostring(child), ("gipc process echo (%d): running"):format(child.pid))
    for i = 1, 100 do
      assert(mine:put { number = i, text = "text " .. i })
      local got = mine:get(60)
      equal(got.number, i)
      equal(got.text, "text " .. i)
    end
    mine:close()
    assert(child:join())
    equal(child:exitcode(), 0)
    equal(child:info().code, 0)
    equal(tostring(child), ("gipc process echo (%d): exit code 0"):format(child.pid))
    child:close()
    raises("closed", child.join, child)
  end)

  test("handles_given_move_and_others_are_closed", function()
    local r, w = gipc.pipe()
    local kept, other = gipc.pipe { codec = "raw" }
    local child = gipc.start_process(function(w, a, b)
      w:put { a, b, kept:closed(), w:closed() }
    end, w, "text", 3)
    equal(w:closed(), true)
    local got = r:get(60)
    equal(got[1], "text")
    equal(got[2], 3)
    equal(got[4], false)
    fails(gipc.EOF, "end", r:get(60))
    assert(other:put "still mine")
    equal(kept:get(60), "still mine")
    child:join()
    for _, h in ipairs { r, kept, other } do
      h:close()
    end
  end)

  -- H49
  test("exit_codes_are_exact", function()
    for _, code in ipairs { 0, 1, 2, 42, 127, 128, 255 } do
      ends_with(code, function()
        os.exit(code)
      end)
    end
    ends_with(0, function()
      os.exit()
    end)
    ends_with(0, function()
      os.exit(true)
    end)
    ends_with(1, function()
      os.exit(false)
    end)
    ends_with(255, function()
      os.exit(300)
    end)
    ends_with(0, function()
      return 5
    end)
    ends_with(7, function()
      gipc.spawn(function()
        os.exit(7) -- at once, whatever the others do
      end)
      gipc.sleep(60)
    end)
  end)

  test("an_error_in_the_child_prints_its_trace_and_gives_1", function()
    local text, code = support.output_of(function(options)
      return gipc.start_process(options, function()
        local function deep()
          error "went wrong"
        end
        deep()
      end)
    end)
    equal(code, 1)
    equal(text:match "test_processes%.lua:%d+: went wrong" ~= nil, true, text)
    equal(text:match "stack traceback" ~= nil, true, text)
    equal(text:match "in %a+ '?u?p?v?a?l?u?e?%s?'?deep'" ~= nil, true, text)
    text, code = support.output_of(function(options)
      return gipc.start_process(options, function()
        error { "an object" }
      end)
    end)
    equal(code, 1)
    equal(text:match "table: " ~= nil, true, text)
  end)

  test("a_join_times_out_and_others_go_on", function()
    local mine, yours = gipc.pipe { duplex = true }
    local child = gipc.start_process(support.echo, yours)
    local ticks = 0
    if support.on.spawn then
      support.on.spawn(function()
        for _ = 1, 5 do
          gipc.sleep(0.002)
          ticks = ticks + 1
        end
      end)
    end
    repeat
      fails(gipc.ETIMEDOUT, "^timeout$", child:join(0.01))
    until not support.on.spawn or ticks == 5
    equal(child:is_alive(), true)
    equal(child:exitcode(), nil)
    equal(child:info(), nil)
    fails(gipc.ETIMEDOUT, "^timeout$", child:join(0))
    raises("is still running", child.close, child)
    mine:close()
    equal(child:join(), true)
    equal(child:join(0), true)
    equal(child:exitcode(), 0)
  end)

  -- Before its object is collected.
  test("a_closed_process_has_no_descriptor_left", function()
    collectgarbage()
    collectgarbage "stop"
    local child = assert(gipc.exec_process { "true" })
    child:join()
    local before = support.descriptors()
    local had = child:fd() and 1 or 0
    child:close()
    equal(support.descriptors(), before - had)
    collectgarbage "restart"
    raises("the process is closed", child.is_alive, child)
  end)

  test("a_grace_that_cannot_be_is_an_error_before_any_signal", function()
    local mine, yours = gipc.pipe { duplex = true }
    local child = gipc.start_process(support.echo, yours)
    for _, grace in ipairs { -1, 0 / 0, "1" } do
      raises("number of seconds", child.stop, child, grace)
    end
    raises("timeout is a number", child.join, child, 0 / 0)
    assert(mine:put "alive")
    equal(mine:get(), "alive")
    assert(child:stop(math.huge))
    equal(child:exitcode(), -SIGTERM)
    mine:close()
  end)

  test("many_may_join_at_once", function()
    support.needs_others()
    local mine, yours = gipc.pipe { duplex = true }
    local child = gipc.start_process(support.echo, yours)
    local joined = 0
    for _ = 1, 4 do
      support.on.spawn(function()
        assert(child:join())
        joined = joined + 1
      end)
    end
    fails(gipc.ETIMEDOUT, "^timeout$", child:join(0.01))
    mine:close()
    assert(child:join(10))
    while joined < 4 do
      gipc.sleep(0.001)
    end
  end)

  -- H55, H57
  test("a_child_can_be_terminated_and_killed", function()
    local function sleeping()
      return gipc.start_process(function()
        gipc.sleep(60)
      end)
    end
    for _, case in ipairs { { "terminate", SIGTERM }, { "kill", SIGKILL } } do
      local child = sleeping()
      assert(child[case[1]](child))
      assert(child:join(10))
      equal(child:exitcode(), -case[2])
      equal(child:info().signal, case[2])
      fails(gipc.EDEAD, "ended", child:kill())
    end
    local stopped = sleeping()
    assert(stopped:signal(SIGSTOP))
    equal(stopped:stop(60), true)
    equal(stopped:exitcode(), -SIGTERM)
    local deaf = support.program("os.execute 'true'; io.stdout:write 'x' io.stdout:flush() os.execute \"trap '' TERM; sleep 60\"", { stdout = "pipe" })
    local out = gipc.open(deaf:stdio(1))
    out:get(0.2)
    deaf:stop(0.1)
    equal(deaf:is_alive(), false)
    out:close()
  end)

  -- H39: the grandchild holds the writer, so its end is the end of the stream.
  test("a_daemon_ends_with_its_parent", function()
    local r, w = gipc.pipe()
    local parent = gipc.start_process(function(w)
      local ready, tell = gipc.pipe()
      gipc.start_process({ daemon = true }, function(w, tell)
        tell:put "ready"
        w:put "ready"
        gipc.sleep(60)
      end, w, tell)
      ready:get()
      gipc.sleep(60)
    end, w)
    equal(r:get(60), "ready")
    parent:kill()
    parent:join()
    fails(gipc.EOF, "end", r:get(60))
    r:close()
  end)

  -- H30, H35
  test("exit_handlers_of_the_parent_stay_there", function()
    local program = support.program([[
      local gipc = require "gipc"
      local at_exit
      if newproxy then
        at_exit = newproxy(true)
        getmetatable(at_exit).__gc = function() print "at exit" end
      else
        at_exit = setmetatable({}, { __gc = function() print "at exit" end })
      end
      io.write "buffered " -- H31
      for _, f in ipairs { function() end, function() os.exit(0) end, function() collectgarbage() end } do
        local child = gipc.start_process(f)
        child:join()
        assert(child:exitcode() == 0)
      end
      print "the end"
    ]], { stdout = "pipe" })
    local fd = program:stdio(1)
    local out = assert(io.open("/proc/self/fd/" .. fd))
    native.close_fd(fd)
    local text = out:read "*a"
    out:close()
    assert(program:join(10))
    equal(text, "buffered the end\nat exit\n")
  end)

  -- H25, H26
  test("nothing_of_the_parents_loop_acts_in_the_child", function()
    local ticks, over = 0, false
    if support.on.spawn then
      for _ = 1, 3 do
        support.on.spawn(function()
          while not over do
            gipc.sleep(0.001)
            ticks = ticks + 1
          end
        end)
      end
    end
    local r, w = gipc.pipe()
    local child = gipc.start_process(function(w)
      local before = ticks
      collectgarbage()
      for _ = 1, 20 do
        gipc.sleep(0.002)
      end
      w:put(ticks - before)
    end, w)
    local before = ticks
    equal(r:get(60), 0)
    child:join()
    equal(child:exitcode(), 0)
    if support.on.spawn then
      equal(ticks > before, true, "the parent runs")
    end
    over = true
    gipc.sleep(0.01)
    r:close()
  end)

  test("the_child_has_a_loop_of_its_own", function()
    local r, w = gipc.pipe()
    local child = gipc.start_process(function(w)
      local order = {}
      local tasks = {}
      for i = 3, 1, -1 do
        tasks[i] = gipc.spawn(function()
          gipc.sleep(i * 0.2)
          table.insert(order, i)
        end)
      end
      for i = 1, 3 do
        assert(tasks[i]:join())
      end
      w:put(order)
      gipc.spawn(function()
        gipc.sleep(0.01)
        w:put "after its function"
      end)
    end, w)
    local order = r:get(60)
    equal(table.concat(order, " "), "1 2 3")
    equal(r:get(60), "after its function")
    child:join()
    equal(child:exitcode(), 0)
    r:close()
  end)

  test("a_child_may_use_another_loop", function()
    local inherited = package.loaded.luv and "luv"
    local ticks, over = 0, false
    if support.on.spawn then
      support.on.spawn(function()
        while not over do
          gipc.sleep(0.001)
          ticks = ticks + 1
        end
      end)
    end
    for _, name in ipairs { "none", "cqueues", "copas", not inherited and "luv" or nil } do
      local r, w = gipc.pipe()
      local child = gipc.start_process(function(w)
        if name ~= "none" and not support.has(name) then
          return w:put { "through", false, 0 }
        end
        local before = ticks
        gipc.sleep(0.005) -- the parent's sleep would end here
        gipc.use(name)
        if name == "copas" then
          require("copas").step(0)
        end
        local mine, yours = gipc.pipe { duplex = true }
        local child = gipc.start_process(support.echo, yours)
        require("loops")[name].run(function()
          mine:put "through"
          w:put { mine:get(), (child:join(0.001)) or false, ticks - before }
          mine:close()
          child:join()
        end)
      end, w)
      local got = r:get(60)
      equal(got and got[1], "through", name)
      equal(got[2], false)
      equal(got[3], 0, "what the parent's coroutine did in the child")
      child:join()
      equal(child:exitcode(), 0)
      r:close()
    end
    over = true
    gipc.sleep(0.01)
    if inherited then
      local text, code = support.output_of(function(options)
        return gipc.start_process(options, function()
          gipc.use "luv"
        end)
      end)
      equal(code, 1)
      equal(text:match "a child cannot run the loop of luv" ~= nil, true, text)
    end
  end)

  test("children_of_children_work", function()
    local function descend(w, depth)
      if depth == 0 then
        w:put "from the depth"
        return
      end
      local child = gipc.start_process(descend, w, depth - 1)
      child:join()
      os.exit(child:exitcode() + 1)
    end
    local r, w = gipc.pipe()
    local child = gipc.start_process(descend, w, 12)
    equal(r:get(60), "from the depth")
    child:join()
    equal(child:exitcode(), 12)
    r:close()
  end)

  -- H42: in a program that ignores SIGCHLD the kernel reaps.
  test("statuses_are_right_beside_other_reapers", function()
    local program = assert(gipc.exec_process({
      "sh", "-c", [[trap '' CHLD; exec "$0" -e "$1"]], support.interpreter, [[
      local gipc = require "gipc"
      for code = 0, 20 do
        local child = gipc.start_process(function() os.exit(code) end)
        local other = io.popen "exit 3"
        other:close()
        child:join()
        if child:exitcode() ~= code then
          io.stderr:write(tostring(child), " is not ", code, "\n")
          os.exit(1)
        end
      end]],
    }))
    assert(program:join(20))
    equal(program:exitcode(), 0)
  end)

  -- H65, H111
  test("a_child_killed_inside_a_message_is_told", function()
    -- On a ring the descriptor is readable before the first part is there.
    local r, w = gipc.pipe { codec = "raw", transport = "plain" }
    local child = gipc.start_process(function(w)
      w:put "whole"
      w:put(("x"):rep(20000000))
    end, w)
    equal(r:get(60), "whole")
    equal(native.poll_fd(r:fd "r", native.READ, 60), true)
    child:kill()
    child:join()
    fails(gipc.ETRUNCATED, "inside a message", r:get(60))
    equal(child:exitcode(), -SIGKILL)
    r:close()
  end)

  test("a_worker_pool_counts_right", function()
    local workers, total = {}, 0
    for i = 1, 3 do
      local mine, yours = gipc.pipe { duplex = true }
      workers[i] = {
        pipe = mine,
        process = gipc.start_process(function(pipe)
          local job = pipe:get()
          while job ~= nil do
            pipe:put { id = job.id, square = job.number * job.number }
            job = pipe:get()
          end
        end, yours),
      }
    end
    local wanted = 0
    for id = 1, 300 do
      local worker = workers[id % 3 + 1]
      assert(worker.pipe:put { id = id, number = id })
      wanted = wanted + id * id
    end
    for id = 1, 300 do
      local answer = workers[id % 3 + 1].pipe:get(60)
      equal(answer.id, id)
      total = total + answer.square
    end
    equal(total, wanted)
    for _, worker in ipairs(workers) do
      worker.pipe:close()
      worker.process:join()
      equal(worker.process:exitcode(), 0)
    end
  end)

  -- H52
  test("descriptors_and_memory_stay_flat", function()
    local function turn(rounds)
      for _ = 1, rounds do
        local mine, yours = gipc.pipe { duplex = true }
        local child = gipc.start_process(support.echo, yours)
        mine:put { 1, 2, 3 }
        mine:get()
        mine:close()
        child:join()
      end
      collectgarbage()
      collectgarbage()
    end
    local rounds = support.long and 2000 or 60
    turn(rounds) -- garbage of the loop may double the heap once
    local descriptors, memory = support.descriptors(), support.memory()
    turn(rounds)
    equal(support.descriptors() <= descriptors, true, "descriptors")
    equal(support.memory() - memory < 2048, true, "KiB more: " .. support.memory() - memory)
  end)

  test("a_start_without_a_free_process_is_an_error", function()
    raises("takes a function", gipc.start_process, 5)
    raises("takes a function", gipc.start_process, {})
    raises("among its arguments", gipc.start_process, { handles = {} }, function() end)
    raises("no option", gipc.start_process, { nam = "x" }, function() end)
    fails(gipc.ENOENT, "No such file", gipc.start_process({ cwd = "/nowhere" }, function() end))
  end)
end
