-- Runs the tests of test_*.lua on one loop, and counts.
--   lua suite.lua LOOP ["NAME..."]
local loop, only = arg[1], arg[2] or ""
local gipc = require "gipc"
local on = require("loops")[loop]
local support = require "support"

support.loop = loop
support.on = on
support.suite = arg[0]
support.interpreter = arg[-1]

local tests = {}
for _, file in ipairs {
  "messages", "handles", "processes", "execs", "codecs", "golden", "scheduling", "waits", "failures",
  "surface", "transport", "fds", "overview", "interruptions", "templates", "pools",
  "pool_workers", "scenarios", "keepers", "keeper_waits", "launchers", "pool_ahead", "pool_fds",
  "fds_failures", "documents", "liar",
} do
  require("test_" .. file)(function(name, body)
    table.insert(tests, { name = name, body = body })
  end)
end

-- Whether a test is one of those named, which are all where none is.
local function is_named(name)
  for pattern in only:gmatch "%S+" do
    if name:find(pattern) then
      return true
    end
  end
  return not only:find "%S"
end

-- Descriptors and children that a test has leaked.
local function left_behind(before, children_before)
  if jit then
    jit.flush() -- traces keep what they were compiled with
  end
  collectgarbage()
  collectgarbage()
  local children = support.children()
  if children ~= children_before then
    return "children are left: " .. children
  end
  local now = support.descriptors()
  if now > before then
    return ("%d descriptors are left"):format(now - before)
  end
end

-- A line for coverage.sh and tests/hazards, in a file that no child inherits.
local function report(test, outcome)
  local path = os.getenv "GIPC_TEST_RESULTS"
  if path then
    local file = assert(io.open(path, "a"))
    file:write(table.concat({ "lua", loop, test.name, outcome }, "\t"), "\n")
    file:close()
  end
end

gipc.use(on.name)
on.run(function() -- what a loop opens once is not a leak
  local r, w = gipc.pipe()
  r:get(0.01)
  gipc.sleep(0.01)
  r:close()
  w:close()
end)
collectgarbage()
collectgarbage()

local passed, failed = 0, 0
for _, test in ipairs(tests) do
  if is_named(test.name) then
    io.write("   ", test.name, " ")
    io.flush()
    local before, children = support.descriptors(), support.children()
    local started = os.time()
    local ok, message = pcall(on.run, test.body)
    local reason = not ok and support.does_not_apply(message)
    message = ok and left_behind(before, children) or message
    if reason then
      print("does not apply: " .. reason)
      report(test, "skipped")
    elseif ok and not message then
      passed = passed + 1
      report(test, "passed")
      local took = os.time() - started
      print(took > 1 and ("ok (%d s)"):format(took) or "ok")
    else
      failed = failed + 1
      report(test, "failed")
      print("FAILED\n" .. tostring(message))
    end
  end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
