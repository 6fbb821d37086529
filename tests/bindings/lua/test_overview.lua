-- All handles and processes of a program, and the trace of its events.
local gipc = require "gipc"
local support = require "support"
local equal, raises = support.equal, support.raises

local function records(kind)
  local found = {}
  for _, record in ipairs(gipc.overview()) do
    if record.kind == kind then
      found[#found + 1] = record
    end
  end
  return found
end

local function of_pid(pid)
  for _, record in ipairs(records "process") do
    if record.pid == pid then
      return record
    end
  end
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

return function(test)
  test("handles_are_records_until_they_are_closed", function()
    local before = {}
    for _, record in ipairs(records "handle") do
      before[record.id] = true
    end
    local reader, writer = gipc.pipe { codec = "raw" }
    writer:put(("x"):rep(100))
    local read, write
    for _, record in ipairs(records "handle") do
      if not before[record.id] then
        read = record.directions.read and record or read
        write = record.directions.write and record or write
      end
    end
    equal(write.messages_out, 1)
    equal(write.messages_in, 0)
    equal(write.bytes_out, 104)
    equal(read.unread, 104)
    equal(read.pair, write.pair)
    equal(read.state, "open")
    equal(read.transport_out, nil)
    equal(read.busy, false)
    equal(read.idle, nil)
    equal(write.idle >= 0, true)
    reader:close()
    writer:close()
    for _, record in ipairs(records "handle") do
      local is_ours = record.id == read.id or record.id == write.id
      equal(not is_ours or record.state == "closed", true) -- until it is collected
    end
  end)

  test("processes_are_records_and_a_table_has_a_line_for_each", function()
    local child = gipc.exec_process({ "sleep", "1000" }, { name = "a\nchild" })
    local pid = child.pid
    local record = of_pid(pid)
    equal(record.name, "a\nchild")
    equal(record.state, "running")
    equal(record.code, nil)
    local all = gipc.overview()
    local lines = lines_of(tostring(all))
    equal(#lines, #all + 1)
    equal(lines[1]:gsub("%s+", " "), "id kind name pid state age idle transport queued unread in out")
    equal(tostring(all):find("a?child", 1, true) ~= nil, true)
    child:kill()
    child:join()
    local reaped = of_pid(pid) -- until it is collected
    equal(reaped and reaped.state or "reaped", "reaped")
    equal(reaped and reaped.signal or 9, 9)
  end)

  test("events_are_lines_of_json", function()
    local path = os.tmpname()
    local child = gipc.exec_process({ "true" }, {}) -- before the trace
    child:join()
    local script = ([[
      local gipc = require "gipc"
      gipc.trace(1)
      local reader, writer = gipc.pipe { codec = "raw" }
      writer:put "hello"
      reader:get()
      gipc.trace(nil)
      writer:put "hello"
      gipc.trace(file)
      writer:put "again"
    ]]):gsub("\n", " ")
    local interpreter = support.interpreter
    local open = ('file = io.open("%s", "a")'):format(path)
    local pipe = io.popen(("%s -e '%s' -e '%s' >>%s"):format(interpreter, open, script, path))
    pipe:close()
    local file = io.open(path)
    local lines = lines_of(file:read "*a")
    file:close()
    os.remove(path)
    equal(#lines, 3)
    for i, event in ipairs { "put", "get", "put" } do
      equal(lines[i]:find(('"event":"%s","handle":'):format(event), 1, true) ~= nil, true)
      equal(lines[i]:match '"size":(%d+)', "5")
    end
  end)

  test("what_is_no_descriptor_is_refused", function()
    raises("fd is an integer", gipc.trace, -1)
    raises("fd", gipc.trace, "a")
    local done, _, code = gipc.trace(1048576)
    equal(done, nil)
    equal(code, gipc.EBADF)
  end)
end
