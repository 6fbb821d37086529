-- Messages of 64 bytes, one way, from this program to a worker: gipc next to luv
-- pipes with the same framing.  Rows are measured alternately; ratios are of medians
-- within a run.
--   lua bench.lua NAME [--quick]
local gipc = require "gipc"
local native = require "gipc.native"
local luv = require "luv_peer"

local name, quick = arg[1], arg[2] == "--quick"
local interpreter, folder = arg[-1], arg[0]:match "^(.*)/"
local message = ("x"):rep(64)
local batch = {}
for i = 1, 64 do
  batch[i] = message
end

-- ---- gipc -------------------------------------------------------------------------

-- Messages a second, from the first put to the worker's answer.
local function through_gipc(count, options, put)
  return gipc.run(function()
    local r, w = gipc.pipe(options)
    local answers, answer = gipc.pipe { codec = "raw" }
    local worker = gipc.start_process(function(r, answer)
      answer:put "ready"
      for _ = 1, count do
        r:get()
      end
      answer:put "done"
    end, r, answer)
    answers:get()
    local started = native.now()
    put(w, count)
    answers:get()
    local took = native.now() - started
    worker:join()
    w:close()
    answers:close()
    return count / took
  end)
end

local function plain(w, count)
  for _ = 1, count do
    w:put(message)
  end
end

local function in_batches(w, count)
  for _ = 1, count, #batch do
    w:put_many(batch)
  end
end

-- ---- The table --------------------------------------------------------------------

local raw = { codec = "raw" }
local rows = {
  { "luv framed", 64000, luv.available() and function(count)
    return luv.measure(interpreter, folder, count, message)
  end },
  { "gipc raw, put", 256000, function(count)
    return through_gipc(count, raw, plain)
  end },
  { "gipc raw, put_many of 64", 1024000, function(count)
    return through_gipc(count, raw, in_batches)
  end },
  { "gipc msgpack, put", 64000, function(count)
    return through_gipc(count, {}, plain)
  end },
}
local function median(values)
  local sorted = {}
  for i, value in ipairs(values) do
    sorted[i] = value
  end
  table.sort(sorted)
  return sorted[math.ceil(#sorted / 2)], sorted[1], sorted[#sorted]
end

for round = 1, quick and 3 or 7 do
  for i = 1, #rows do
    local row = rows[round % 2 == 1 and i or #rows + 1 - i]
    if row[3] then
      row.values = row.values or {}
      table.insert(row.values, row[3](quick and row[2] / 4 or row[2]) / 1000)
    end
  end
end

print(("\n%s, one way, 64 B, one core: thousand messages/s"):format(name))
for _, row in ipairs(rows) do
  if row.values then
    print(("  %-42s %12.0f (%.0f..%.0f)"):format(row[1], median(row.values)))
  else
    print(("  %-42s %12s"):format(row[1], "not measured"))
  end
end

local function compare(row, target)
  local a, b = rows[row], rows[1]
  local title = a[1] .. " / " .. b[1]
  if not (a.values and b.values) then
    return print(("  = %-58s not measured"):format(title))
  end
  local ratios = {}
  for i = 1, #a.values do
    ratios[i] = a.values[i] / b.values[i]
  end
  local middle, low, high = median(ratios)
  print(("  = %-58s %6.2f (%.2f..%.2f)%s"):format(title, middle, low, high,
    target and ("  target >= %.2f: %s"):format(target, middle >= target and "met" or "MISSED") or ""))
end
compare(2, 3)
compare(3, 7)
