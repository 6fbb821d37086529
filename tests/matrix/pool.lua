-- A pool in Lua, of workers in any language.
--   pool.lua LANGUAGE COMMAND...
-- COMMAND starts a worker.  Each step is named on stdout before it begins.
local gipc = require "gipc"
local golden = require "golden"

local language = arg[1]
local SIGTERM, SIGKILL = 15, 9

local function step(name)
  print(name)
  io.stdout:flush()
end

local function open_pool(codec)
  local command = { select(2, (table.unpack or unpack)(arg)) }
  table.insert(command, codec)
  return gipc.pool { argv = command, codec = codec, workers = 2, first_delay = 0.001, grace = 600 }
end

local function expect_reversed(pool)
  local tasks = {}
  for number = 1, 100 do
    tasks[number] = assert(pool:submit("task " .. number))
  end
  for number, task in ipairs(tasks) do
    assert(assert(task:join()) == ("task " .. number):reverse(), "another result")
  end
  local large = ("0123456789abcdef"):rep(65536)
  assert(assert(pool:call(large)) == large:reverse(), "another large result")
end

local function expect_failure(pool)
  local result, err = pool:call "fail"
  assert(result == nil and err.class:match "[^.]*$" == "Refused", err.class)
  assert(err.message == "too groß", err.message)
  assert(err.traceback:find("worker.", 1, true), err.traceback)
  assert(not err.traceback:find "^table", err.traceback)
end

local function expect_death(pool, word, facts)
  local beside = pool:submit "beside it"
  local result, err = pool:call(word)
  assert(result == nil and err.class == "WorkerDied" and err.attempt == 1, err.class)
  for name, value in pairs(facts) do
    assert(err.exit[name] == value, tostring(err))
  end
  assert(assert(beside:join()) == "ti ediseb", "another result")
end

-- SIGTERM ends the worker; SIGKILL would take ten minutes.
local function expect_timeout(pool)
  local result, err = pool:call("hang", { timeout = 0.05 })
  assert(result == nil and err.class == "TaskTimeout", err and err.class)
  assert(err.exit.signal == SIGTERM, tostring(err))
end

local function expect_values(pool)
  for _, entry in ipairs(golden.entries) do
    if entry.put ~= nil and entry.bytes.msgpack then
      local got, err = pool:call(entry.put)
      local may_differ = golden.may_differ(entry, language, "msgpack")
        or golden.may_differ(entry, golden.language, "msgpack")
      if not golden.same(got, entry.got, may_differ) then
        assert(may_differ and err, entry.name .. ": " .. tostring(err or got))
      end
    end
  end
end

gipc.run(function()
  local pool = open_pool "raw"
  step "tasks"
  expect_reversed(pool)
  step "fail"
  expect_failure(pool)
  step "exit"
  expect_death(pool, "exit", { code = 7 })
  step "kill"
  expect_death(pool, "kill", { signal = SIGKILL })
  step "timeout"
  expect_timeout(pool)
  step "whole"
  expect_reversed(pool)
  step "stop"
  pool:stop()
  pool = open_pool "msgpack"
  step "values"
  expect_values(pool)
  pool:stop()
end)
