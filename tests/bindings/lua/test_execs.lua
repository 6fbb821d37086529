-- Programs, their handles and their standard streams.
local gipc = require "gipc"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

return function(test)
  test("an_execd_child_inherits_by_name", function()
    local questions, ask = gipc.pipe()
    local answers, answer = gipc.pipe()
    local child = support.program([[
      local gipc = require "gipc"
      gipc.run(function()
        local questions, answers = gipc.inherit "in", gipc.inherit "out"
        assert(not os.getenv "GIPC_HANDLES")
        local got = questions:get()
        while got ~= nil do
          answers:put { got = got }
          got = questions:get()
        end
      end)]], { handles = { ["in"] = questions, out = answer } })
    equal(questions:closed() and answer:closed(), true, "moved")
    for _, message in ipairs { "text", 42, true, { 1, 2 }, gipc.null } do
      ask:put(message)
      local got = answers:get(60).got
      equal(type(got) == "table" and got[2] or got, type(message) == "table" and 2 or
        message)
    end
    ask:close()
    assert(child:join(10))
    equal(child:exitcode(), 0)
    answers:close()
  end)

  -- H94
  test("a_name_not_passed_is_a_clear_error", function()
    fails(gipc.ENOENT, 'no handle was passed under the name "nothing"', gipc.inherit "nothing")
    raises('"no name!" is not a valid name', gipc.inherit, "no name!")
    local r, w = gipc.pipe()
    local child = support.program([[
      local gipc = require "gipc"
      local value, message, code = gipc.inherit "other"
      assert(value == nil and code == gipc.ENOENT, message)
      gipc.inherit "out":put(message)
      value, message, code = gipc.inherit "out" -- each of them once
      assert(value == nil and code == gipc.ENOENT)]], { handles = { out = w } })
    equal(type((r:get(60))), "string")
    child:join()
    equal(child:exitcode(), 0)
    r:close()
    local other, end_of_it = gipc.pipe()
    raises('"a name" is not a valid name', gipc.exec_process, { "true" }, { handles = { ["a name"] = other } })
    raises("handles is ", gipc.exec_process, { "true" }, { handles = { name = 5 } })
    other:close()
    end_of_it:close()
  end)

  -- H7
  test("a_program_that_is_not_there_is_a_clear_error", function()
    local r, w = gipc.pipe()
    fails(gipc.ENOENT, "No such file", gipc.exec_process { "no-such-program" })
    fails(gipc.ENOENT, "No such file", gipc.exec_process({ "/no/such" }, { handles = { w = w } }))
    fails(gipc.EACCES, "denied", gipc.exec_process { "/etc/passwd" })
    w:put "mine still"
    equal(r:get(), "mine still")
    raises("list of strings", gipc.exec_process, {})
    raises("list of strings", gipc.exec_process, "true")
    raises("not a table", gipc.exec_process, { "true", {} })
    raises("no NUL", gipc.exec_process, { "true", "a\0b" })
    r:close()
    w:close()
  end)

  -- H16
  test("a_program_gets_its_arguments_environment_and_directory", function()
    local r, w = gipc.pipe()
    local child = support.program([[
      local gipc = require "gipc"
      local pwd = io.popen "pwd"
      local cwd = pwd:read "*l"
      pwd:close()
      gipc.inherit "w":put { arg = { ... }, new = os.getenv "NEW", home = os.getenv "HOME", cwd = cwd }]],
      { handles = { w = w }, env = { NEW = "value", HOME = false }, cwd = "/tmp" })
    local got = r:get(60)
    equal(got.new, "value")
    equal(got.home, nil)
    equal(got.cwd, "/tmp")
    child:join()
    equal(child:exitcode(), 0)
    child = gipc.exec_process({ "sh", "-c", [[test "$1" = '$(exit 3)' && test -z "$HOME"]], "x", "$(exit 3)" },
      { clear_env = true, env = { PATH = os.getenv "PATH" } })
    child:join()
    equal(child:exitcode(), 0)
    r:close()
  end)

  test("a_peer_may_speak_over_stdin_and_stdout", function()
    local child = support.program([[
      local gipc = require "gipc"
      local peer = gipc.stdio()
      print "this goes to stderr"
      io.write "and this, unflushed"
      local got = peer:get()
      while got ~= nil do
        os.execute "echo and this"
        peer:put { "you said", got }
        got = peer:get()
      end]], { stdin = "pipe", stdout = "pipe", stderr = "null" })
    local peer = gipc.open(child:stdio(1), child:stdio(0))
    for _, word in ipairs { "hello", "again" } do
      peer:put(word)
      equal(peer:get(60)[2], word)
    end
    peer:shutdown()
    fails(gipc.EOF, "end", peer:get(60))
    peer:close()
    assert(child:join(10))
    equal(child:exitcode(), 0)
    raises("closed", child.stdio, child, 1)
  end)

  test("each_standard_stream_goes_to_its_option", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write "before "
    local child = gipc.exec_process({ "sh", "-c", "cat; echo out; echo err >&2" },
      { stdin = "null", stdout = file, stderr = "stdout" })
    child:join()
    file:close()
    file = io.open(path)
    equal(file:read "*a", "before out\nerr\n")
    file:close()
    os.remove(path)
    raises("stdin is", gipc.exec_process, { "true" }, { stdin = "nowhere" })
    raises("stdin is", gipc.exec_process, { "true" }, { stdin = {} })
    raises("group is", gipc.exec_process, { "true" }, { group = "none" })
  end)

  -- Ctrl-C in a program that waits raises the error of Lua and ends the wait.
  test("an_interrupt_ends_a_get_that_waits", function()
    for _, wait in ipairs { "gipc.use 'none' r:get()", "gipc.run(function() r:get() end)" } do
      local r, w = gipc.pipe { codec = "raw" }
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      local child = support.program(([[
        local gipc = require "gipc"
        local r, kept = gipc.pipe()
        gipc.inherit("w", { codec = "raw" }):put "ready"
        %s]]):format(wait), { handles = { w = w }, stderr = file })
      file:close()
      equal(r:get(60), "ready")
      support.wait_until(function()
        return support.sleeps(child.pid)
      end)
      child:signal(2)
      assert(child:join(60), "it still waits")
      file = io.open(path)
      local text = file:read "*a"
      file:close()
      os.remove(path)
      equal(child:exitcode(), 1, text)
      equal(text:match "interrupted!" ~= nil, true, text)
      r:close()
    end
  end)
end
