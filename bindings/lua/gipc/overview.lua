--- What a program has, and what it does: all handles and processes, and events.
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local native = require "gipc.native"

local overview = {}

local words = { "kind", "name", "state", "transport_in", "transport_out" }
local numbers = {
  "id", "pid", "age", "idle", "queued", "unread", "messages_in", "messages_out", "bytes_in", "bytes_out",
  "read_fd", "write_fd", "pair", "code", "signal",
}
local seconds = { age = true, idle = true }
local columns = {
  "id", "kind", "name", "pid", "state", "age", "idle", "transport", "queued", "unread", "in", "out",
}

local function directions_of(mask)
  return { read = mask % 2 == 1, write = mask >= 2 }
end

local function record_of(from)
  local record = {}
  for _, name in ipairs(words) do
    record[name] = native.record_word(from, name)
  end
  for _, name in ipairs(numbers) do
    local value = native.record_number(from, name)
    if value >= 0 then
      record[name] = seconds[name] and value or math.floor(value)
    end
  end
  if record.kind == "handle" then
    record.directions = directions_of(native.record_number(from, "directions"))
    record.busy = native.record_number(from, "busy") > 0
  end
  record.on_loop = native.record_number(from, "on_loop") > 0
  return record
end

local function cell(value)
  if value == nil then
    return "-"
  end
  -- One row is one line, whatever a name has in it.
  return (tostring(value):gsub("%c", "?"))
end

local function joined(first, a, b)
  if a ~= nil and b ~= nil and a ~= b then
    return first .. a .. " " .. b
  end
  local one = a ~= nil and a or b
  return one ~= nil and first .. one or nil
end

local function row(record)
  local values = {
    name = record.name or joined("fd ", record.read_fd, record.write_fd),
    age = ("%.1f"):format(record.age),
    idle = record.idle and ("%.1f"):format(record.idle),
    transport = joined("", record.transport_in, record.transport_out),
    ["in"] = record.messages_in,
    out = record.messages_out,
  }
  local cells = {}
  for i, name in ipairs(columns) do
    cells[i] = cell(values[name] or record[name])
  end
  return cells
end

local meta = {}

--- A table, with a line for each record.
function meta:__tostring()
  local rows, widths, lines = { columns }, {}, {}
  for i, record in ipairs(self) do
    rows[i + 1] = row(record)
  end
  for _, cells in ipairs(rows) do
    for i, text in ipairs(cells) do
      widths[i] = math.max(widths[i] or 0, #text)
    end
  end
  for number, cells in ipairs(rows) do
    local padded = {}
    for i, text in ipairs(cells) do
      padded[i] = text .. (" "):rep(widths[i] - #text)
    end
    lines[number] = (table.concat(padded, "  "):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

--- All handles and processes of this process, also those that nothing refers to any more
-- but that are still there.  tostring() and print() show them as a table.
-- @treturn table a list of records.  Of all: kind: "handle" or "process"; id: a number
-- that no other one has, or had; state; age: seconds; on_loop.  Of a handle: state "open",
-- "ended", "closing" or "closed"; directions: { read, write }, true or false; idle: seconds
-- since a message was put or got, known from the first overview on; transport_in,
-- transport_out: "socket", "network", "pipe" or "ring"; queued: bytes not yet written;
-- unread: bytes not yet got, also in the kernel; messages_in, messages_out, bytes_in,
-- bytes_out; read_fd, write_fd; pair: the same at both ends of a pipe of this process;
-- busy.  Of a process: state "running", "ended" or "reaped"; name; pid; code, signal.
function overview.overview()
  local records = failure.check(native.records_new())
  local all = setmetatable({}, meta)
  while true do
    local one = native.records_at(records, #all)
    if not one then
      return all
    end
    all[#all + 1] = record_of(one)
  end
end

--- Writes a line of JSON for each event of this process to a descriptor, from now on.  The
-- events are start, end, put, get, stall, bell, task, restart and dropped: gipc_trace(3)
-- describes them.  Never waits: lines that cannot be written are dropped, and a later line
-- counts them.  A child writes none, unless it calls this, too.
-- @tparam ?number fd a file, a pipe or a stream socket that is open for writing, or one of
-- Lua's files, of which the trace keeps a copy; nil ends the trace
-- @treturn boolean true; or nil, message, code
function overview.trace(fd)
  local done, message, code = native.trace(fd ~= nil and argument.fd(fd, "fd") or -1)
  if not done then
    return nil, message, code
  end
  return true
end

return overview
