-- What the loops of Lua show of fairness, idleness and scale: see run.
--
--   fair.lua fair|control|idle|scale own|none|luv|cqueues|copas|custom ...
local gipc = require "gipc"
local loops = require "loops"
local native = require "gipc.native"
local unpack = table.unpack or rawget(_G, "unpack")

local peer = os.getenv "GIPC_FAIR_PEER"
local loop
local bodies = {}

-- ---- What is counted ---------------------------------------------------------

-- When another watcher of the loop runs, and how many messages were handled since it
-- ran last.
local Ticks = {}
Ticks.__index = Ticks

local function new_ticks(period)
  return setmetatable({
    period = period, handled = 0, seen = 0, worst = 0, runs = 0,
    due = native.now() + period, worked = os.clock(), late = {}, work = {}, transports = {},
  }, Ticks)
end

-- Seconds until it is due.  The shortest timer of luv, 1 ms, is longer than an
-- iteration.
function Ticks:next()
  local least = arg[2] == "luv" and 0 or 1e-6
  return self.period > 0 and math.max(self.due - native.now(), least) or least
end

function Ticks:see()
  self.worst = math.max(self.worst, self.handled - self.seen)
  self.seen = self.handled
end

function Ticks:ran()
  local now, worked = native.now(), os.clock()
  if self.runs > 0 then -- not what the loop does at its start
    table.insert(self.late, now - self.due)
    table.insert(self.work, worked - self.worked)
  end
  self.worked = worked
  self.due = math.max(self.due + self.period, now)
  self:see()
  self.runs = self.runs + 1
end

-- How long it works without a run, for 99 of 100 moments of its work.
function Ticks:longest_work()
  local total, passed = 0, 0
  table.sort(self.work)
  for _, each in ipairs(self.work) do
    total = total + each
  end
  for _, each in ipairs(self.work) do
    passed = passed + each
    if passed >= 0.99 * total then
      return each
    end
  end
end

function Ticks:report()
  self.over = true
  self:see()
  table.sort(self.late)
  local transports = {}
  for name in pairs(self.transports) do
    table.insert(transports, name)
  end
  table.sort(transports)
  print(("messages=%d worst=%d runs=%d p50=%.3f p99=%.3f work=%.3f transport=%s"):format(self.handled,
    self.worst, self.runs, 1000 * self.late[math.ceil(#self.late * 0.5)],
    1000 * self.late[math.ceil(#self.late * 0.99)], 1000 * self:longest_work(),
    transports[1] and table.concat(transports, "+") or "none"))
  io.stdout:flush()
end

-- With the period 0 in each iteration.
local function tick(ticks)
  while not ticks.over do
    gipc.sleep(ticks:next())
    ticks:ran()
  end
end

local function pipe(duplex)
  local a, b = gipc.pipe { codec = "raw", duplex = duplex }
  return assert(a, b), b
end

-- ---- Fairness ----------------------------------------------------------------

local function start_flood(handles, size, count)
  local readers, passed, full = {}, {}, nil
  for i = 1, handles do
    readers[i], passed["w" .. i - 1] = pipe()
  end
  full, passed.full = pipe()
  local child = assert(gipc.exec_process({ peer, "flood", size, count }, { handles = passed, daemon = true }))
  return readers, full, child
end

local function take(reader, ticks)
  while reader:get() do
    ticks.handled = ticks.handled + 1
  end
  ticks.transports[reader:stats().transport_in] = true
  reader:close()
end

function bodies.fair(handles, size, count, period)
  local readers, full, child = start_flood(tonumber(handles), size, count)
  local ticks = new_ticks(tonumber(period))
  full:get()
  loop.spawn(function()
    tick(ticks)
  end)
  while ticks.runs < 2 do
    gipc.sleep(0.001)
  end
  local left = #readers
  for i = 2, #readers do
    loop.spawn(function()
      take(readers[i], ticks)
      left = left - 1
    end)
  end
  take(readers[1], ticks)
  while left > 1 do
    gipc.sleep(0.001)
  end
  child:join()
  ticks:report()
end

function bodies.control(_, microseconds, rounds, period)
  local ticks = new_ticks(tonumber(period))
  loop.spawn(function()
    tick(ticks)
  end)
  for _ = 1, tonumber(rounds) do
    local till = native.now() + tonumber(microseconds) / 1e6
    while native.now() < till do
    end
    gipc.sleep(0)
  end
  ticks:report()
end

-- ---- Idleness ------------------------------------------------------------------

-- Half of them functions, half programs; all of them sent a message.
local function start_children(count, functions)
  local children = {}
  for i = 1, count do
    local mine, its = pipe(true)
    local child
    if i % 2 == 0 or not functions then
      child = assert(gipc.exec_process({ peer, "answer" }, { handles = { h = its }, daemon = true }))
    else
      child = assert(gipc.start_process({ daemon = true }, function(h)
        h:put "here"
        h:get()
      end, its))
    end
    children[i] = { child = child, handle = mine }
  end
  for _, each in ipairs(children) do
    assert(each.handle:get() == "here")
  end
  return children
end

local function start_services()
  local template = assert(gipc.template())
  local pool = gipc.pool({ workers = 2, least = 2 }, math.abs)
  local keeper = gipc.keep {
    { name = "works", notify = true, work = function()
      gipc.ready()
      gipc.sleep(600)
    end },
  }
  assert(pool:call(-1) == 1)
  assert(keeper:wait_ready())
  return {
    template, pool, keeper,
    assert(template:start({ daemon = true }, "fair_child", "waits")),
    assert(gipc.exec_process({ "sh", "-c", "sleep 600 & wait" }, { daemon = true, group = "tree" })),
  }
end

-- A duplex pipe over rings, in use and then idle.
local function use_ring()
  local mine, its = pipe(true)
  for _ = 1, 200 do
    mine:put "x"
    its:get()
    its:put "x"
    mine:get()
  end
  return mine, its
end

function bodies.idle(handles, children)
  local kept = { start_children(tonumber(children), true), start_services() }
  local mine, its = use_ring()
  local readers, writers, all = {}, { its }, { mine }
  for i = 1, tonumber(handles) do
    readers[i], writers[i + 1] = pipe()
    table.insert(all, readers[i])
  end
  for _, each in ipairs(kept[1]) do
    table.insert(all, each.child)
  end
  if loop.spawn then
    for _, each in ipairs(all) do
      loop.spawn(function() -- each gipc.wait would open three descriptors
        local wait = each.join or each.get
        wait(each)
      end)
    end
  end
  print("idle transport=" .. mine:stats().transport_in)
  io.stdout:flush()
  if loop.spawn then
    local stop = pipe()
    stop:get()
  else
    gipc.wait(all)
  end
end

-- ---- Scale ---------------------------------------------------------------------

local function take_each(readers, writers)
  local got = 0
  if not loop.spawn then
    for _, writer in ipairs(writers) do
      assert(writer:put "x")
    end
    for _, reader in ipairs(gipc.wait(readers)) do
      got = got + #reader:get()
    end
    return got
  end
  for _, reader in ipairs(readers) do
    loop.spawn(function()
      local size = #reader:get() -- others count meanwhile
      got = got + size
    end)
  end
  gipc.sleep(0.001)
  for _, writer in ipairs(writers) do
    assert(writer:put "x")
  end
  while got < #readers do
    gipc.sleep(0.001)
  end
  return got
end

-- Words that a command prints, without those of its own process.
local function count_of(command)
  local pid = io.open("/proc/self/stat"):read "*n"
  local output = io.popen(command:format(pid))
  local _, count = output:read("*a"):gsub("%S+", "")
  output:close()
  return count
end

local function what_is_open()
  return count_of "ls /proc/%d/fd", count_of "cat /proc/%d/task/*/children"
end

function bodies.scale(handles, children)
  local wall, cpu = native.now(), os.clock()
  local readers, writers = {}, {}
  for i = 1, tonumber(handles) / 2 do
    readers[i], writers[i] = pipe()
  end
  local got = take_each(readers, writers)
  for i = 1, #readers do
    readers[i]:close()
    writers[i]:close()
  end
  local handles_wall, handles_cpu = native.now() - wall, os.clock() - cpu
  for _, each in ipairs(start_children(tonumber(children), false)) do
    each.handle:close()
    each.child:join()
    assert(each.child:exitcode() == 0)
    each.child:close()
  end
  print(("handles=%d wall=%.3f cpu=%.3f children=%d children_wall=%.3f children_cpu=%.3f"):format(2 * got,
    handles_wall, handles_cpu, children, native.now() - wall - handles_wall,
    os.clock() - cpu - handles_cpu))
end

-- ----------------------------------------------------------------------------------

local body, name = arg[1], arg[2]
loop = loops[name]
gipc.use(loop.name)
local fds, processes = what_is_open()
loop.run(function()
  bodies[body](unpack(arg, 3))
end)
if body == "scale" then
  local fds_now, processes_now = what_is_open()
  -- What the loop keeps open.
  assert(fds_now - fds <= 6 and processes_now == processes,
    ("descriptors: %d, before %d; children: %d, before %d"):format(fds_now, fds, processes_now, processes))
end
