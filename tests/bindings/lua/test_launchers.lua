-- Programs behind launchers, and pools of them.
local gipc = require "gipc"
local support = require "support"
local shared = require "support_pools"
local equal, fails, raises = support.equal, support.fails, support.raises
local with_pool, failed, collect = shared.with_pool, shared.failed, shared.collect

return function(test)
  local once = support.once(test)

  test("a_program_behind_a_launcher_has_a_handle", function()
    local script = [[
      local gipc = require "gipc"
      local peer = gipc.stdio()
      print "not a message"
      local got = peer:get()
      while got ~= nil do
        peer:put { "you said", got }
        got = peer:get()
      end
      os.exit(3)]]
    local program = { support.interpreter, "-e", script }
    local behind = { "sh", "-c", 'cat | "$@" | cat; exit 4', "sh", support.interpreter, "-e", script }
    for code, argv in pairs { [3] = program, [4] = behind } do
      local child, peer = assert(gipc.launch(argv, { stderr = "null", name = "talk" }))
      equal(child.name, "talk")
      for _, word in ipairs { "hello", "again" } do
        peer:put(word)
        equal(peer:get(20)[2], word)
      end
      peer:shutdown()
      fails(gipc.EOF, "end", peer:get(20))
      peer:close()
      assert(child:join(20))
      equal(child:exitcode(), code)
    end
    local child, peer = gipc.launch({ "cat" }, { codec = "raw" })
    peer:put "there and back"
    equal(peer:get(20), "there and back")
    peer:close()
    assert(child:join(20))
    raises('there is no option "stdin"', gipc.launch, { "cat" }, { stdin = "pipe" })
    raises('there is no option "stdout"', gipc.launch, { "cat" }, { stdout = "null" })
    raises("codec", gipc.launch, { "cat" }, { codec = "xml" })
    raises("a program and its arguments", gipc.launch, "ssh host")
    fails(gipc.ENOENT, "/no/such", gipc.launch { "/no/such" })
  end)

  local program = [[
    local gipc = require "gipc"
    assert(gipc.serve(function(job)
      if job == "print" then print "printed" end
      return { job, os.getenv "WHO" }
    end, { prepare = function() ready = true end }))
  ]]

  -- As ssh does, a launcher starts the program, has its stdin and stdout, and may fail.
  once("a_launcher_starts_workers", function()
    local argv = { "sh", "-c", [[
      echo "the launcher starts $1" >&2
      "$@" | cat
    ]], "sh", support.interpreter, "-e", program }
    local options, starts = { workers = 2, env = { WHO = "launched" }, stderr = "pipe" }, 0
    for _, launch in ipairs { argv, function()
      starts = starts + 1
      return argv
    end } do
      options.launch = launch
      with_pool(options, nil, function(pool)
        local list = collect(pool:map { 1, "print", 3 })
        equal(list[1][2], "launched")
        equal(list[2][1], "print")
        equal(list[3][1], 3)
      end)
    end
    assert(starts >= 1)
    options.first_delay, options.launch = 0.001, function()
      error "no host"
    end
    with_pool(options, nil, function(pool)
      failed("PoolBroken", "no host", gipc.ECLOSED, pool:call(1))
    end)
    options.launch = { "sh", "-c", "echo cannot reach the machine >&2; exit 255" }
    with_pool(options, nil, function(pool)
      local err = failed("PoolBroken", "ended with exit code 255: cannot reach the machine$", gipc.ECLOSED, pool:call(1))
      equal(err.stderr, "cannot reach the machine\n")
      equal(err.exit.code, 255)
    end)
  end)

  once("a_wrong_option_behind_a_launcher_is_refused_by_name", function()
    local function refused(text, options, work)
      raises("test_launchers.*gipc: .*" .. text, function() gipc.pool(options, work) end)
    end
    refused("stdout of a worker behind a launcher is its handle", { stdout = "null", launch = { "true" } })
    refused("argv and launch", { argv = { "true" }, launch = { "true" } })
    refused("argv and launch", { launch = { "true" } }, shared.square)
    refused("not an empty one", { launch = {} })
    refused("prepare", { launch = { "true" }, prepare = print })
  end)
end
