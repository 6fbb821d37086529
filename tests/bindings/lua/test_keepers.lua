-- Keepers: restarts, readiness, silence, reload, order, and the end.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local shared = require "support_keepers"
local equal, fails, raises = support.equal, support.fails, support.raises
local with_keeper, until_holds, until_state = shared.with_keeper, shared.until_holds, shared.until_state
local until_changed, position = shared.until_changed, shared.position
local runs, ready_and_runs = shared.runs, shared.ready_and_runs

-- Runs in a service: counts its starts in a file.
local function count_start(path)
  local file = assert(io.open(path, "a"))
  file:write "x"
  file:close()
  file = assert(io.open(path))
  local count = #file:read "*a"
  file:close()
  return count
end

return function(test_anywhere)
  local test = support.once(test_anywhere)

  test_anywhere("a_service_that_ends_is_restarted", function()
    local path = os.tmpname()
    with_keeper({ { name = "web", notify = true, first_delay = 0.001, args = { path }, work = function(where)
      if count_start(where) < 3 then
        os.exit(4)
      end
      ready_and_runs()
    end } }, function(keeper, changes)
      equal(tostring(keeper):match "web starting" ~= nil, true, tostring(keeper))
      until_state(keeper, "web", "ready")
      local service = keeper:service "web"
      equal(service.restarts, 2)
      equal(service.exit.code, 4)
      equal(type(service.pid), "number")
      equal(table.concat(changes, ", "), ("web starting, web ended, "):rep(2) .. "web starting, web ready")
      fails(gipc.ETIMEDOUT, "^timeout$", keeper:wait(0.01))
    end)
    os.remove(path)
  end)

  test_anywhere("services_start_in_order_and_stop_in_reverse", function()
    with_keeper({
      { name = "db", notify = true, work = ready_and_runs },
      { name = "cache", work = runs },
      { name = "web", notify = true, work = ready_and_runs },
    }, function(keeper, changes)
      until_state(keeper, "web", "ready")
      assert(keeper:stop())
      equal(table.concat(changes, ", "), "db starting, db ready, cache starting, cache ready, web starting, web ready, "
        .. "web stopping stopped, web ended stopped, cache stopping stopped, cache ended stopped, "
        .. "db stopping stopped, db ended stopped")
      equal(keeper:service("db").exit.signal, 15)
      equal(keeper:service("db").state, "stopped")
      equal(keeper:wait(), true)
    end)
  end)

  test("a_service_that_is_given_up_ends_the_wait_with_its_last_end", function()
    local keeper = gipc.keep {
      { name = "fine", notify = true, work = ready_and_runs },
      { name = "broken", limit = 2, first_delay = 0.001, stderr = "pipe", work = function()
        io.stderr:write "no such table\n"
        os.exit(3)
      end },
    }
    local done, err, code = keeper:wait()
    equal(done, nil)
    equal(code, gipc.EDEAD)
    equal(err.class, "GaveUp")
    equal(err.service, "broken")
    equal(err.exit.code, 3)
    equal(err.stderr, "no such table\n")
    equal(tostring(err), ('service "broken" was given up: its process %d ended with exit code 3: no such table'):format(err.pid))
    equal("says: " .. err, "says: " .. err.message)
    equal(keeper:service("broken").state, "gave_up")
    equal(keeper:service("broken").restarts, 2)
    equal(keeper:service("fine").state, "ready")
    equal(select(2, keeper:wait()), err)
    assert(keeper:stop())
    equal(keeper:service("fine").state, "stopped")
    equal(keeper:service("broken").state, "gave_up")
    equal(select(2, keeper:wait()), err)
    keeper = gipc.keep { { name = "lost", limit = 1, first_delay = 0.001, argv = { "/nowhere/program" } } }
    done, err = keeper:wait()
    equal(done, nil)
    equal(err.message, 'service "lost" was given up: it cannot be started: cannot run "/nowhere/program": '
      .. "No such file or directory")
    equal(err.exit, nil)
  end)

  test("a_service_is_restarted_as_its_rule_says", function()
    local keeper = gipc.keep {
      { name = "once", restart = "never", work = function() os.exit(5) end },
      { name = "done", restart = "on_failure", work = function() end },
    }
    equal(keeper:wait(), true)
    equal(keeper:service("once").exit.code, 5)
    equal(keeper:service("done").restarts, 0)
  end)

  test("what_a_service_has_sent_before_its_end_counts", function()
    local states, look = {}, native.epoll_ready
    native.epoll_ready = function(epoll) -- the end is seen first
      local keys = look(epoll)
      table.sort(keys, function(a, b) return a > b end)
      return keys
    end
    local keeper = gipc.keep { { name = "short", notify = true, restart = "never", work = gipc.ready }, on_change = function(change)
      table.insert(states, change.state)
    end }
    while shared.exists(keeper:service("short").pid) do
      os.execute "sleep 0.01" -- the keeper sees nothing meanwhile
    end
    equal(keeper:wait(), true)
    native.epoll_ready = look
    equal(table.concat(states, " "), "starting ready ended finished")
  end)

  test("a_service_that_sends_without_end_does_not_stop_the_keeper", function()
    local receive = native.notify_socket_receive
    native.notify_socket_receive = function() -- there is always one more
      return native.NOTIFY_READY
    end
    with_keeper({ { name = "web", notify = true, work = ready_and_runs }, { name = "other", work = runs } }, function(keeper)
      until_state(keeper, "other", "ready")
      assert(keeper:reload "other")
    end)
    native.notify_socket_receive = receive
  end)

  test("a_program_that_speaks_sd_notify_is_understood", function()
    local program = [[
      test -n "$NOTIFY_SOCKET" -a "$WATCHDOG_USEC" = 60000000 -a -z "$WATCHDOG_PID" || exit 9
      exec "$0" -e "$1"
    ]]
    local code = [[
      local gipc = require "gipc"
      assert(gipc.alive())
      assert(gipc.ready())
      gipc.sleep(60)
    ]]
    with_keeper({ { name = "program", argv = { "sh", "-c", program, support.interpreter, code }, notify = true,
      silence = 60, ready_within = 30, env = { WATCHDOG_PID = "1" } } }, function(keeper)
      until_state(keeper, "program", "ready")
      equal(keeper:service("program").restarts, 0)
    end)
    fails(gipc.ENOENT, "NOTIFY_SOCKET", gipc.ready())
    fails(gipc.ENOENT, "NOTIFY_SOCKET", gipc.alive())
  end)

  test("the_socket_of_another_supervisor_does_not_pass_to_services", function()
    local text, code = support.output_of(function(options)
      options.env = { NOTIFY_SOCKET = "@nobody", WATCHDOG_USEC = "5", WATCHDOG_PID = "6", LUA_PATH = package.path,
        LUA_CPATH = package.cpath }
      return gipc.exec_process({ support.interpreter, "-e", [[
        local gipc = require "gipc"
        local keeper = gipc.keep {
          { name = "program", restart = "never",
            argv = { "sh", "-c", "echo $NOTIFY_SOCKET-$WATCHDOG_USEC-$WATCHDOG_PID" } },
          { name = "function", restart = "never", work = function()
            print(select(3, gipc.ready()) == gipc.ENOENT, os.getenv "WATCHDOG_USEC")
          end },
        }
        assert(keeper:wait())
      ]] }, options)
    end, "stdout")
    equal(code, 0)
    equal(text == "--\ntrue\tnil\n" or text == "true\tnil\n--\n", true, text)
  end)

  test("a_service_that_is_not_ready_in_time_is_restarted", function()
    with_keeper({ { name = "slow", notify = true, ready_within = 0.02, first_delay = 0.001, work = runs } },
      function(keeper, changes)
        until_changed(keeper, changes, "slow ended not_ready")
        until_holds(keeper, function()
          return keeper:service("slow").restarts > 0
        end)
        equal(position(changes, "slow ready"), nil)
      end)
  end)

  test("a_silent_service_prints_its_tracebacks_and_is_restarted", function()
    local last
    with_keeper({
      { name = "web", notify = true, silence = 0.1, dump = 2, first_delay = 0.001, stderr = "pipe", work = function()
        gipc.spawn(function() gipc.sleep(60) end)
        ready_and_runs()
      end },
      on_change = function(change)
        last = change.state == "ended" and change or last
      end,
    }, function(keeper, changes)
      until_changed(keeper, changes, "web ended silent")
      equal(position(changes, "web silent") < position(changes, "web stopping silent"), true)
      local first = last.stderr
      equal(first:match "^gipc: process (%d+) has given no sign of life", tostring(last.pid))
      local _, count = first:gsub("test_keepers%.lua:%d+: in", "")
      equal(count >= 2, true, first)
      until_holds(keeper, function()
        return keeper:service("web").restarts > 0
      end)
    end)
  end)

  test("signs_of_life_of_a_service_count", function()
    local count, report = 0, native.policy_alive
    native.policy_alive = function(...)
      count = count + 1
      return report(...)
    end
    with_keeper({ { name = "web", silence = 60, work = function()
      for _ = 1, 3 do
        assert(gipc.alive())
      end
      gipc.sleep(60)
    end } }, function(keeper)
      -- One tells that its handler is set.
      until_holds(keeper, function() return count == 4 end)
      equal(keeper:service("web").state, "ready")
    end)
    native.policy_alive = report
  end)

  test("a_sign_of_life_does_not_wait_for_a_keeper_that_does_not_read", function()
    local socket = assert(native.notify_socket_new())
    local child = gipc.start_process({ env = { NOTIFY_SOCKET = native.notify_socket_address(socket) } }, function()
      local done, message, code
      repeat
        done, message, code = gipc.alive()
      until not done
      os.exit(code == gipc.EAGAIN and type(message) == "string" and 7 or 1)
    end)
    assert(child:join(30))
    equal(child:exitcode(), 7)
    native.notify_socket_close(socket)
  end)

  test("a_silent_service_gets_no_signal_that_it_does_not_want", function()
    for signal, number in pairs { [0] = 15, KILL = 9 } do
      with_keeper({ { name = "web", notify = true, silence = 0.05, dump = 0.01, dump_signal = signal, first_delay = 30,
        work = ready_and_runs } }, function(keeper, changes)
        until_changed(keeper, changes, "web ended silent")
        equal(keeper:service("web").exit.signal, number)
        equal(keeper:service("web").state, "waiting")
      end)
    end
  end)

  test_anywhere("a_service_is_reloaded", function()
    local fail = os.tmpname()
    with_keeper({ { name = "web", notify = true, stderr = "pipe", args = { fail }, work = function(where)
      local file = io.open(where)
      if not file then
        error("broken", 0)
      end
      file:close()
      ready_and_runs()
    end } }, function(keeper, changes)
      until_state(keeper, "web", "ready")
      local first = keeper:service("web").pid
      equal(keeper:reload "web", true)
      local second = keeper:service("web").pid
      equal(second ~= first, true)
      equal(position(changes, "web reloaded") < position(changes, "web stopping reload"), true)
      until_holds(keeper, function()
        return not shared.exists(first)
      end)
      until_changed(keeper, changes, "web ended reload")
      os.remove(fail)
      local done, err, code = keeper:reload "web"
      equal(done, nil)
      equal(code, gipc.EDEAD)
      equal(err.class, "ReloadFailed")
      equal(err.message:match 'service "web" was not reloaded: its process %d+ ended with exit code 1: ' ~= nil, true,
        err.message)
      equal(keeper:service("web").pid, second)
      equal(keeper:service("web").state, "ready")
      assert(keeper:signal("web", "KILL"))
      raises("test_keepers.*the keeper has no service \"wep\"", function() keeper:reload "wep" end)
    end)
  end)

  test("a_group_is_restarted_with_one_of_it", function()
    for strategy, restarted in pairs { one_for_one = "b", rest_for_one = "bc", all_for_one = "abc" } do
      local options = { strategy = strategy }
      for i, name in ipairs { "a", "b", "c" } do
        options[i] = { name = name, notify = true, first_delay = 0.001, work = ready_and_runs }
      end
      with_keeper(options, function(keeper)
        until_state(keeper, "c", "ready")
        assert(keeper:signal("b", "KILL"))
        until_holds(keeper, function()
          return keeper:service("b").restarts == 1 and keeper:service("c").state == "ready" and keeper:service("a").state == "ready"
        end)
        for _, service in ipairs(keeper:services()) do
          equal(service.restarts, restarted:find(service.name) and 1 or 0, strategy .. " " .. service.name)
        end
      end)
    end
  end)

  test("a_service_that_ignores_sigterm_is_killed_after_its_grace_period", function()
    local options = { { name = "deaf", notify = true, grace = 0.02, argv = { "sh", "-c", [[
      trap '' TERM
      exec "$0" -e "$1"
    ]], support.interpreter, 'local gipc = require "gipc" assert(gipc.ready()) while true do gipc.sleep(60) end' } } }
    with_keeper(options, function(keeper, changes)
      until_state(keeper, "deaf", "ready")
      assert(keeper:stop())
      equal(keeper:service("deaf").exit.signal, 9)
      equal(position(changes, "deaf killed stopped") ~= nil, true)
    end)
    with_keeper({ { name = "stopped", notify = true, grace = 60, work = ready_and_runs } }, function(keeper)
      until_state(keeper, "stopped", "ready")
      assert(keeper:signal("stopped", "STOP"))
      until_holds(keeper, function()
        return support.process_state(keeper:service("stopped").pid) == "T"
      end)
      assert(keeper:stop())
      equal(keeper:service("stopped").exit.signal, 15)
    end)
  end)

  test("args_and_handles_are_made_for_each_start", function()
    local readers, writer = {}, nil
    local function a_pipe()
      local reader
      reader, writer = gipc.pipe()
      table.insert(readers, reader)
      return writer, #readers
    end
    with_keeper({
      { name = "function", first_delay = 0.001, args = a_pipe, work = function(w, number)
        assert(w:put(number))
        gipc.sleep(number < 3 and 0 or 60)
      end },
    }, function(keeper)
      until_holds(keeper, function() return #readers == 3 end)
      for i, reader in ipairs(readers) do
        equal(reader:get(), i)
        reader:close()
      end
    end)
    local reader
    with_keeper({
      { name = "program", argv = { support.interpreter, "-e", [[
        local gipc = require "gipc"
        local h = assert(gipc.inherit "out")
        h:put "started"
        gipc.sleep(60)
      ]] }, handles = function()
        reader, writer = gipc.pipe()
        return { out = writer }
      end },
    }, function()
      equal(reader:get(), "started")
      reader:close()
    end)
    local starts = 0
    with_keeper({ { name = "once", notify = true, work = ready_and_runs, args = function()
      starts = starts + 1
      return starts == 1 or error("no more", 0)
    end } }, function(keeper)
      until_state(keeper, "once", "ready")
      local done, err, code = keeper:reload "once"
      equal(done, nil)
      equal(code, gipc.EDEAD)
      equal(err.message, 'service "once" was not reloaded: it cannot be started: no more')
      equal(keeper:service("once").state, "ready")
    end)
    local keeper = gipc.keep { { name = "bad", limit = 1, first_delay = 0.001, work = runs, args = function()
      error("no pipe", 0)
    end } }
    local done, err = keeper:wait()
    equal(done, nil)
    equal(err.message, 'service "bad" was given up: it cannot be started: no pipe')
  end)

  test("a_killed_keeper_leaves_no_process", function()
    local reader, yours = gipc.pipe()
    local child = gipc.start_process(function(writer)
      local keeper = gipc.keep {
        { name = "a", notify = true, work = ready_and_runs },
        { name = "b", notify = true, argv = { support.interpreter, "-e",
          'local gipc = require "gipc" assert(gipc.ready()) gipc.sleep(60)' } },
      }
      until_state(keeper, "b", "ready")
      writer:put { keeper:service("a").pid, keeper:service("b").pid }
      gipc.sleep(60)
    end, yours)
    local pids = reader:get(30)
    equal(shared.exists(pids[1]) and shared.exists(pids[2]), true)
    assert(child:kill())
    assert(child:join(10))
    support.wait_until(function()
      return not shared.exists(pids[1]) and not shared.exists(pids[2])
    end)
    reader:close()
  end)

  test("a_keeper_cannot_be_used_in_a_child", function()
    with_keeper({ { name = "a", notify = true, work = ready_and_runs } }, function(keeper)
      until_state(keeper, "a", "ready")
      local child = gipc.start_process({ stderr = "null" }, function()
        local ok, message = pcall(keeper.stop, keeper)
        local refused = not ok and message:find "the keeper belongs to another process" ~= nil
          and tostring(keeper) == "gipc keeper: of another process"
        keeper = nil
        collectgarbage()
        collectgarbage()
        os.exit(refused and 7 or 1)
      end)
      assert(child:join(10))
      equal(child:exitcode(), 7)
      equal(keeper:service("a").state, "ready")
      equal(keeper:service("a").restarts, 0)
    end)
  end)

  test_anywhere("others_run_while_a_keeper_waits_and_stops", function()
    support.needs_others()
    local keeper = gipc.keep { { name = "a", notify = true, work = ready_and_runs } }
    local waited, stopped, steps = nil, nil, 0
    support.on.spawn(function()
      waited = keeper:wait()
    end)
    until_state(keeper, "a", "ready")
    support.on.spawn(function()
      stopped = keeper:stop()
    end)
    support.wait_until(function()
      steps = steps + 1
      return waited and stopped
    end)
    equal(steps > 1, true)
  end)

  test("on_change_may_call_the_keeper_and_fail", function()
    local text = support.output_of(function(options)
      return gipc.start_process(options, function()
        local keeper
        keeper = gipc.keep { { name = "a", notify = true, work = ready_and_runs }, on_change = function(change)
          if change.state == "ready" then
            gipc.spawn(function() keeper:stop() end)
            error("on purpose", 0)
          end
        end }
        assert(keeper:wait())
      end)
    end)
    equal(text:match "^gipc: error in on_change: on purpose\n", "gipc: error in on_change: on purpose\n", text)
  end)

  test("a_wrong_option_of_a_keeper_is_refused_by_name", function()
    local function refused(text, options)
      raises("test_keepers.*gipc: .*" .. text, function() gipc.keep(options) end)
    end
    local function of_service(text, service)
      service.name, service.work = "web", service.work or not service.argv and runs or nil
      refused('service "web": ' .. text, { service })
    end
    refused("a table of options and services, not nil", nil)
    refused("one service at least", {})
    refused('no option "strateggy"', { strateggy = 1, { name = "a", work = runs } })
    refused('strategy is "one_for_one", .*, not "any"', { strategy = "any", { name = "a", work = runs } })
    refused("on_change is a function, not 5", { on_change = 5, { name = "a", work = runs } })
    refused("the name of service 1 is a string", { { work = runs } })
    refused("service 1 is a table, not a function", { runs })
    refused('two services have the name "a"', { { name = "a", work = runs }, { name = "a", work = runs } })
    of_service('there is no option "notfy"', { notfy = true })
    of_service("notify is true or false, not 1", { notify = 1 })
    of_service('restart is "always", "on_failure" or "never", not "maybe"', { restart = "maybe" })
    of_service("first_delay is not valid: %-1", { first_delay = -1 })
    of_service("longest_delay is not valid: its default does not go with the others", { first_delay = 60 })
    of_service("limit is not valid: 0.5", { limit = 0.5 })
    of_service("cwd is a string without NUL, not 5", { cwd = 5 })
    of_service("it has either work, a function, or argv, a program", { argv = { "true" }, work = runs })
    of_service("handles is a function that returns", { argv = { "true" }, handles = {} })
    of_service("the handles of a function are among its args", { handles = runs })
    of_service("the arguments of a program are in argv", { argv = { "true" }, args = {} })
    of_service("args, if not a function, is a list", { args = "x" })
    of_service('stdout of a service is not "pipe"', { stdout = "pipe" })
    of_service('dump_signal is a signal, such as "TERM"', { dump_signal = "NO" })
    of_service("dump_signal: there is no signal 100", { dump_signal = 100 })
    for _, name in ipairs {
      "ready_within", "silence", "dump", "grace", "first_delay", "longest_delay", "growth", "jitter", "healthy", "window",
      "limit", "seed",
    } do
      of_service(name .. " is a number", { [name] = "?" })
      of_service(name .. " is a number", { [name] = 0 / 0 })
    end
  end)
end
