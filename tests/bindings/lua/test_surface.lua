-- The same surface in every language; errors that name their thing.
local gipc = require "gipc"
local native = require "gipc.native"
local options = require "gipc.options"
local support = require "support"
local equal, fails, raises = support.equal, support.fails, support.raises

local COLUMN = 4 -- of surface.tsv

local function read_table()
  local folder = support.suite:match "^(.*)lua/suite%.lua$"
  local cells = {}
  for line in io.lines(folder .. "surface.tsv") do
    if line:sub(1, 1) ~= "#" then
      local columns = {}
      for cell in line:gmatch "[^\t]+" do
        table.insert(columns, cell)
      end
      table.insert(cells, columns[COLUMN])
    end
  end
  return cells
end

-- What a program prints that is started with options.
local function output(argv, chosen)
  chosen.stdout = "pipe"
  local child = assert(gipc.exec_process(argv, chosen))
  local fd = child:stdio(1)
  local file = assert(io.open("/proc/self/fd/" .. fd))
  native.close_fd(fd)
  local text = file:read "*a"
  file:close()
  assert(child:join(10))
  return (text:gsub("%s+$", "")), child
end

local function shell(command, chosen)
  return output({ "sh", "-c", command, "sh" }, chosen)
end

-- Without a wait: on Lua 5.1 luv ends the program for an error after one.
local function own_id(kind)
  local file = assert(io.popen("id -" .. kind))
  local id = tonumber((file:read "*l"))
  file:close()
  return id
end

return function(test)
  test("the_names_of_the_surface_table_are_there", function()
    local r, w = gipc.pipe()
    local child = gipc.start_process(function() end)
    local template = require("gipc.template").Template
    local pool = gipc.pool({}, print)
    local objects = {
      Handle = r, Process = child, Template = template, Pool = pool, PoolTask = pool:submit(1), gipc = gipc,
    }
    pool:stop(0)
    objects.Keeper = gipc.keep { { name = "a", work = function() end, restart = "never" } }
    objects.Keeper:stop()
    local names, listed = options.names(), {}
    for _, cell in ipairs(read_table()) do
      if cell:sub(1, 1) ~= "-" then
        for option in cell:gmatch "option ([%w_]+)" do
          equal(names[option], true, "option " .. option)
          listed[option] = true
        end
        for owner, name in cell:gmatch "([%w]+)%.([%w_]+)" do
          equal(objects[owner] ~= nil and objects[owner][name] ~= nil, true, owner .. "." .. name)
        end
      end
    end
    for option in pairs(names) do
      equal(listed[option], true, "in the table: option " .. option)
    end
    child:join()
    r:close()
    w:close()
  end)

  test("every_option_of_a_start_takes_effect", function()
    equal(shell("umask", { umask = 63 }), "0077")
    equal(shell("ulimit -n", { rlimits = { nofile = 77 } }), "77")
    equal(shell("ulimit -Sn; ulimit -Hn", { rlimits = { nofile = { 55, 66 } } }), "55\n66")
    equal(shell("ulimit -c", { rlimits = { core = 0 } }), "0")
    local here = tonumber((shell("nice", {})))
    equal(tonumber((shell("nice", { nice = 1 }))), here + 1)
    if os.getenv "GIPC_TEST_OS" == "posix" then -- that half has no such option
      local _, message = gipc.exec_process({ "true" }, { no_new_privileges = true })
      equal(message:match "because of no_new_privileges" ~= nil, true)
    else
      equal(shell("grep NoNewPrivs /proc/self/status", { no_new_privileges = true }), "NoNewPrivs:\t1")
    end
    local mask = output({ "grep", "SigBlk", "/proc/self/status" }, { block_signals = { "USR1", 12 } })
    equal(tonumber(mask:match "%x+$", 16), 2 ^ 9 + 2 ^ 11)
    equal(shell("echo $0", { program = "/bin/sh" }), "sh")
    local _, child = shell("true", { name = "with a name", daemon = true, death_signal = "TERM" })
    equal(child.name, "with a name")
    local file = assert(io.open "/etc/hostname")
    equal(shell("test -e /proc/self/fd/9 && echo kept", { map_fds = { [9] = file } }), "kept")
    file:close()
    equal(shell("echo $ONE-$TWO-$HOME", { clear_env = true, env = { ONE = 1, TWO = false } }), "1--")
    equal(shell("pwd", { cwd = "/" }), "/")
    for _, group in ipairs { "new", "session" } do -- whose number is that of its leader
      local numbers = shell("cut -d' ' -f1,5 /proc/$$/stat", { group = group })
      equal(numbers:match "^%d+", numbers:match "%d+$", group)
    end
  end)

  -- What the process may choose itself.
  test("the_ids_of_a_child_are_chosen", function()
    local uid, gid = own_id "u", own_id "g"
    equal(shell("id -u", { uid = uid }), tostring(uid))
    equal(shell("id -g", { gid = gid }), tostring(gid))
    if uid ~= 0 then
      fails(gipc.EPERM, "because of user", gipc.exec_process({ "true" }, { user = { uid = 65534, gid = 65534 } }))
    end
  end)

  test("the_user_of_a_child_is_chosen", function()
    if own_id "u" ~= 0 then
      support.not_here "only root can choose it"
    end
    equal(shell("id -u; id -g; id -G", { user = { uid = 65534, gid = 65533, groups = { 65532 } } }),
      "65534\n65533\n65533 65532")
  end)

  test("an_error_of_a_start_names_the_program_or_the_directory", function()
    fails(gipc.ENOENT, 'cannot run "no%-such": No such file', gipc.exec_process { "no-such", "argument" })
    fails(gipc.ENOENT, 'cannot run "/no/such"', gipc.exec_process({ "true" }, { program = "/no/such" }))
    fails(gipc.EACCES, 'cannot run "/etc/passwd"', gipc.exec_process { "/etc/passwd" })
    for _, start in ipairs {
      function(chosen)
        return gipc.exec_process({ "true" }, chosen)
      end,
      function(chosen)
        return gipc.start_process(chosen, function() end)
      end,
    } do
      fails(gipc.ENOENT, 'the directory "/nowhere": No such file', start { cwd = "/nowhere" })
      raises("rlimits.nofile is not valid", start, { rlimits = { nofile = { 5, 4 } } })
    end
  end)

  test("an_unknown_option_or_a_wrong_type_is_refused_by_name", function()
    local function refused(text, f, ...)
      raises("test_surface.*gipc: .*" .. text, f, ...)
    end
    local function exec(chosen)
      return function()
        gipc.exec_process({ "true" }, chosen)
      end
    end
    refused('no option "duplx"', function() gipc.pipe { duplx = true } end)
    refused('a table of options, not "json"', function() gipc.pipe "json" end)
    refused('no codec "morse"', function() gipc.pipe { codec = "morse" } end)
    refused('list of strings, not "ls %-l"', function() gipc.exec_process "ls -l" end)
    refused("argument 2 of a program", function() gipc.exec_process { "ls", {} } end)
    refused("a function, or options and a function, not 42", function() gipc.start_process(42) end)
    refused("a function after the options", function() gipc.start_process {} end)
    refused("and 1 is not a name", exec { env = { "A=1" } })
    refused("env.A is a string, a number or false, not a table", exec { env = { A = {} } })
    refused('"A=B" is not a valid name', exec { env = { ["A=B"] = "1" } })
    refused('umask is an integer, 0 or more, not "x"', exec { umask = "x" })
    refused("umask is not valid", exec { umask = 4096 })
    refused("daemon is true or false, not 1", exec { daemon = 1 })
    refused("death_signal is a signal", exec { death_signal = "NONE" })
    refused('rlimits has no "files"', exec { rlimits = { files = 1 } })
    refused("keep_fds is a list, not 3", exec { keep_fds = 3 })
    refused("cwd is a string", exec { cwd = true })
    refused("user.gid is an integer", exec { user = { uid = 1 } })
    refused("stdout is not valid: \"stdout\"", exec { stdout = "stdout" })
    refused("block_signals is not valid: 999", exec { block_signals = { 999 } })
    refused("block_signals is a list, and its item 1 is missing", exec { block_signals = { TERM = true } })
    refused("keep_fds is a list, and its item 2 is missing", exec { keep_fds = { 0, nil, 1 } })
    refused("env is .* and .* is not a name", exec { env = { ["A\0"] = "1" } })
    refused("env.A is a string without NUL", exec { env = { A = "a\0b" } })
    refused("the option program is for exec_process", function()
      gipc.start_process({ program = "/bin/sh" }, function() end)
    end)
    local r, w = gipc.pipe()
    refused('a direction is "r" or "w", not "x"', function() r:fd "x" end)
    refused("the limit is an integer, 0 or more, not %-1", function() r:set_limit(-1) end)
    refused("high is more than low", function() w:set_marks(5, 5) end)
    local child = gipc.start_process(function() end)
    refused('signal is a signal, such as "TERM", not "FOO"', function() child:signal "FOO" end)
    refused("no group of its own", function() child:signal_group "TERM" end)
    refused("there is no signal 999", function() child:signal(999) end)
    refused("what is waited for is a list, and its item 2 is missing", function() gipc.wait { child, nil, 5 } end)
    refused("a list of messages is needed, and its item 1 is missing", function() w:put_many { x = 1 } end)
    refused("a handle is given twice", function() gipc.start_process(function() end, r, r) end)
    refused("its handle is given twice", exec { handles = { a = r, b = r } })
    refused("a name in handles is a string without NUL, not a boolean", exec { handles = { [true] = r } })
    refused('a name in handles is a string without NUL, not "a.*b"', exec { handles = { ["a\0b"] = r } })
    child:join()
    r:close()
    w:close()
  end)

  -- User 2^32 would be the superuser.
  test("a_number_that_is_too_large_for_c_is_never_another_one", function()
    local large = 2 ^ 32
    for _, chosen in ipairs {
      { uid = large },
      { gid = large },
      { user = { uid = large, gid = 1 } },
      { user = { uid = 1, gid = large } },
      { user = { uid = 1, gid = 1, groups = { large } } },
      { umask = large },
      { nice = large },
      { death_signal = large + 15 },
      { stdout = large + 1 },
      { terminal = large },
      { keep_fds = { large } },
      { map_fds = { [large + 5] = 1 } },
      { block_signals = { large + 15 } },
    } do
      raises(next(chosen) .. ".* is an integer, at most %d+, not 42949", gipc.exec_process, { "true" }, chosen)
    end
    raises("read_fd is an integer, at most 2147483647", gipc.open, large)
  end)

  test("an_object_that_cannot_be_encoded_is_refused_with_its_place", function()
    local function refused(text, codec, message)
      local r, w = gipc.pipe { codec = codec }
      raises("test_surface.*cannot be encoded: " .. text, function() w:put(message) end)
      raises("test_surface.*cannot be encoded: " .. text, function() w:put_many { 1, message } end)
      assert(w:put(2)) -- nothing of them was put
      equal(r:get(), 2)
      r:close()
      w:close()
    end
    local inside = {}
    inside.me = { inside }
    for _, codec in ipairs { "msgpack", support.has "cjson" and "json" or nil } do
      refused("a function$", codec, print)
      refused("a function at %.list%[2%]%.f$", codec, { list = { 1, { f = print } } })
      refused("a gipc handle at %.answer$", codec, { answer = (gipc.pipe()) })
      refused("a thread at %[1%]", codec, { coroutine.create(function() end) })
      refused("a table that is inside itself at %.me%[1%]", codec, inside)
    end
    if support.has "cjson" then
      refused("a NaN or infinity at %.x", "json", { x = 0 / 0 })
      refused('a string that is not UTF%-8 at %["a b"%]', "json", { ["a b"] = "\255" })
    end
  end)

  test("several_handles_and_processes_are_waited_for", function()
    local r, w = gipc.pipe { codec = "raw" }
    local a, b = gipc.pipe { duplex = true, codec = "raw" }
    local mine, yours = gipc.pipe { duplex = true }
    local child = gipc.start_process(support.echo, yours)
    local all = { r, a, child }
    fails(gipc.ETIMEDOUT, "^timeout$", gipc.wait(all, 0))
    fails(gipc.ETIMEDOUT, "^timeout$", gipc.wait(all, 0.01))
    w:put_many { "1", "2" }
    local ready = gipc.wait(all, 60)
    equal(#ready, 1)
    equal(ready[1], r)
    equal(r:get(), "1")
    equal(gipc.wait(all, 60)[1], r) -- it holds the second one in memory
    equal(r:get(), "2")
    mine:close()
    equal(gipc.wait(all)[1], child)
    b:put "x"
    ready = gipc.wait(all, -1)
    equal(#ready, 2)
    equal(ready[1], a)
    local either = { a, "w" }
    equal(gipc.wait({ w, either }, 60)[2], either)
    if support.on.spawn then
      support.on.spawn(function()
        support.settle()
        w:put "later"
      end)
      equal(gipc.wait({ r }, 60)[1], r)
    end
    raises("list is empty", gipc.wait, {})
    raises("item 1 is a handle", gipc.wait, { 5 })
    child:join()
    for _, h in ipairs { r, w, a, b } do
      h:close()
    end
  end)

  test("one_direction_can_be_closed", function()
    local a, b = gipc.pipe { duplex = true, codec = "raw" }
    equal(a:directions(), "rw")
    assert(a:put "last")
    assert(a:shutdown())
    equal(a:directions(), "r")
    equal(b:get(), "last")
    fails(gipc.EOF, "^end of stream$", b:get())
    assert(b:put "answer")
    equal(a:get(), "answer")
    a:close()
    b:close()
    equal(a:directions(), nil)
  end)

  test("a_close_has_a_deadline_and_an_abort_has_none", function()
    local r, w = gipc.pipe { codec = "raw" }
    local large = ("x"):rep(3000000)
    equal(select(3, w:put(large, 0.001)), gipc.EINPROGRESS)
    support.settle()
    fails(gipc.ETIMEDOUT, "^timeout$", w:close(0.01))
    equal(w:closed(), false)
    equal(w:pending "w" > 0, true)
    equal(w:abort(), true)
    equal(w:closed(), true)
    fails(gipc.ETRUNCATED, "inside a message", r:get(60))
    raises("closed", w.abort, w)
    r:close()
  end)

  test("a_process_is_stopped_with_a_grace_period", function()
    local function ready_child(command)
      local r, w = gipc.pipe { codec = "raw" }
      local child = gipc.exec_process({ "sh", "-c", command }, { stdout = "pipe", group = "new" })
      local out = gipc.open(child:stdio(1), nil, { codec = "raw" })
      gipc.wait({ out }, 10) -- its handler is set
      r:close()
      w:close()
      return child, out
    end
    local deaf, out = ready_child "trap '' TERM; echo ready; while :; do sleep 1; done"
    assert(deaf:stop(0.01))
    equal(deaf:exitcode(), -9)
    out:close()
    local polite
    polite, out = ready_child "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    assert(polite:stop(30))
    equal(polite:exitcode(), 7)
    out:close()
    local leader
    leader, out = ready_child "sleep 60 & echo ready; wait"
    assert(leader:stop_group(30))
    equal(leader:exitcode(), -15)
    fails(gipc.EDEAD, "ended", leader:signal_group "KILL")
    out:close()
  end)

  local tree = "trap '' TERM; (setsid sh -c 'echo $$; exec sleep 60' &); trap - TERM; echo up; exec sleep 60"

  test("a_tree_ends_with_its_child", function()
    local child = gipc.exec_process({ "sh", "-c", tree }, { stdout = "pipe", group = "tree" })
    local fd = child:stdio(1)
    local file = assert(io.open("/proc/self/fd/" .. fd))
    native.close_fd(fd)
    local lines = file:read "*l" .. " " .. file:read "*l"
    local escaped = tonumber(lines:match "%d+")
    equal(escaped ~= child.pid, true)
    assert(child:stop(60))
    equal(child:exitcode(), -15)
    local info = child:info()
    if info.tree == "session" then -- a process group does not have it
      os.execute("kill -9 " .. escaped)
    else
      equal(info.tree == "cgroup" or info.tree == "subreaper", true)
      equal(info.left >= 1 and info.left == info.killed, true)
    end
    equal(file:read "*a", "") -- the end comes when nobody has the pipe
    file:close()
    child = gipc.exec_process { "true" }
    assert(child:join(60))
    equal(child:info().tree, nil)
  end)

  local function error_quietly()
    error "on purpose"
  end

  test("exit_info_says_how_the_status_is_known", function()
    local child = gipc.start_process(function()
      os.exit(3)
    end)
    assert(child:join(10))
    local info = child:info()
    equal(info.code, 3)
    equal(info.signal, nil)
    equal(info.how, "wait")
    equal(info.ended, "exit")
    equal(info.user >= 0 and info.max_rss > 0, true)
    child = gipc.exec_process { "sleep", "60" }
    child:signal "SIGKILL"
    assert(child:join(10))
    info = child:info()
    equal(info.code, nil)
    equal(info.signal, 9)
    equal(info.ended, nil)
    for expected, f in pairs { ["return"] = function() end, error = error_quietly } do
      child = gipc.start_process({ stderr = "null" }, f)
      assert(child:join(10))
      equal(child:info().ended, expected)
    end
    equal(type(gipc.features().pidfd), "boolean")
    gipc.set_exit_timeout(60)
    raises("timeout is a number", gipc.set_exit_timeout, "x")
  end)
end
