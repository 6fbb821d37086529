-- The work of the soak in Lua: soak.lua own|luv|cqueues SEED TRIPS CHILDREN.
-- Prints a line after each batch, as tests/soak/run reads it, and waits for a word.
package.path = package.path .. ";../bindings/lua/?.lua"
local gipc = require "gipc"
local loops = require "loops"
local soak_child = require "soak_child"

local heap = assert(package.loadlib(os.getenv "GIPC_SOAK_HEAP", "soak_heap_lua"))
local loop = loops[arg[1]]
local trips_each, children_each = tonumber(arg[3]), tonumber(arg[4])
local kinds = { "auto", "ring", "plain" }
local ends = { "return", "exit", "quit", "signal", "killed" }
local block, template
local pipes = 0

local function check(got, expected)
  if got ~= expected then
    error(("%s instead of %s"):format(tostring(got):sub(1, 100), tostring(expected):sub(1, 100)), 2)
  end
end

-- Runs f beside this, and returns a function that waits for its end.
local function beside(f, ...)
  local r, w = gipc.pipe { codec = "raw" }
  local arguments = table.pack(...)
  loop.spawn(function()
    f(table.unpack(arguments, 1, arguments.n))
    w:close()
  end)
  return function()
    r:get()
    r:close()
  end
end

-- Most messages are small, some have up to 1 MiB.
local function message()
  local size = math.random() < 0.9 and math.random(0, 255) or math.floor(2 ^ (20 * math.random()))
  return block:sub(1, size)
end

local function exchange(handle)
  local sent = message()
  assert(handle:put(sent))
  if math.random() < 0.02 then -- in the middle of a message, where it is large
    local got, _, code = handle:get(0)
    if got then
      return check(got, sent)
    end
    check(code, gipc.ETIMEDOUT)
  end
  check(assert(handle:get()), sent)
end

local function time_out_a_put(handle)
  local ok, _, code = handle:put(block, 0)
  if code == gipc.ETIMEDOUT then
    return
  end
  assert(ok or code == gipc.EINPROGRESS)
  assert(handle:flush())
  check(assert(handle:get()), block)
end

-- On another loop than the own one a coroutine is not cancelled: its time is over.
local function cancel_a_get(handle)
  if arg[1] ~= "own" then
    return check(select(3, handle:get(1e-6)), gipc.ETIMEDOUT)
  end
  local task = gipc.spawn(handle.get, handle)
  gipc.sleep(0)
  task:cancel()
  check(task:join(), nil)
end

local function move_a_writer(handle)
  local reader, writer = gipc.pipe { codec = "raw" }
  assert(handle:put("moves", nil, { writer }))
  check(assert(reader:get()), "moved")
  reader:close()
end

local function close(handle)
  local order = math.random(3)
  if order == 1 then -- the other end first
    assert(handle:put "close")
    check(handle:get(), nil)
  elseif order == 2 then -- with an answer that is not got
    assert(handle:put(block:sub(1, 5000)))
  end
  handle:close()
end

local function use_a_pipe(count)
  pipes = pipes + 1
  local mine, theirs = gipc.pipe {
    duplex = true,
    codec = "raw",
    transport = kinds[pipes % #kinds + 1],
  }
  local wait = beside(soak_child.echo, theirs)
  for _ = 1, count do
    local chance = math.random(200)
    if chance == 1 then
      time_out_a_put(mine)
    elseif chance == 2 then
      cancel_a_get(mine)
    elseif chance == 3 then
      move_a_writer(mine)
    else
      exchange(mine)
    end
  end
  close(mine)
  wait()
end

local function trips(count)
  while count > 0 do
    use_a_pipe(math.min(count, 250))
    count = count - 250
  end
end

local function ended_with(child, code)
  assert(child:join())
  check(child:exitcode(), code)
  child:close()
end

local function run_a_program()
  local number = math.random(0, 99)
  local argv = ({ { "sh", "-c", "kill -9 $$" }, { "sleep", "60" }, { "sh", "-c", "exit " .. number } })[number % 3 + 1]
  local child = assert(gipc.exec_process(argv))
  if number % 3 == 1 then
    child:terminate()
  end
  ended_with(child, ({ -9, -15, number })[number % 3 + 1])
end

local function run_a_function(from_template)
  local how, number = ends[math.random(#ends)], math.random(0, 255)
  local mine, theirs = gipc.pipe { duplex = true }
  local child
  if from_template then
    child = assert(template:start("soak_child", "answer_and_end", theirs, how, number))
  else
    child = assert(gipc.start_process(soak_child.answer_and_end, theirs, how, number))
  end
  if how == "signal" then
    exchange(mine)
    child:terminate()
  else
    for _ = 1, 3 do
      exchange(mine)
    end
  end
  if how == "killed" then
    child:kill()
  end
  ended_with(child, ({ ["return"] = 0, signal = -15, killed = -9 })[how] or number)
  mine:abort()
end

local function run_a_pool()
  local pool = gipc.pool({ workers = 2 }, math.abs)
  for i, result in pool:map { -3, -2, -1 } do
    check(result, 4 - i)
  end
  pool:stop()
end

local function children(count)
  for i = 0, count - 1 do
    if i % 5 == 4 then
      run_a_program()
    else
      run_a_function(i % 5 > 1)
    end
  end
  run_a_pool()
end

local function batches()
  local done = { 0, 0 }
  while true do
    for kind, work in ipairs { trips, children } do
      local count = ({ trips_each, children_each })[kind]
      work(count)
      done[kind] = done[kind] + count
      collectgarbage()
      collectgarbage()
      print(("sample %d %d %d 0"):format(done[1], done[2], heap())) -- all that Lua has is of malloc
      io.stdout:flush()
      if io.read() ~= "go" then
        return
      end
    end
  end
end

math.randomseed(tonumber(arg[2]))
block = ("%d "):format(math.random(1000)):rep(2 ^ 20):sub(1, 2 ^ 20)
gipc.use(loop.name)
loop.run(function()
  template = assert(gipc.template { preload = { "soak_child" } })
  batches()
  template:close()
end)
