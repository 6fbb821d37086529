-- A worker of the benchmarks: measures what each line of its input asks for, as
-- `one_way peer=NAME size=BYTES count=COUNT` (the peer decides), and answers with a figure or null.
local jobs = require "jobs"
local luv = require "luv_peer"

local interpreter, folder = arg[-1], arg[0]:match "^(.*)/"
local raw = { codec = "raw" }

-- A whole number of batches.
local function whole(count)
  return math.ceil(count / 64) * 64
end

local peers = {
  luv = luv.available() and function(count, message)
    return luv.measure(interpreter, folder, count, message)
  end,
  gipc = function(count, message)
    return jobs.through_gipc(count, raw, jobs.plain, message)
  end,
  gipc_many = function(count, message)
    return jobs.through_gipc(whole(count), raw, jobs.in_batches, message)
  end,
  gipc_msgpack = function(count, message)
    return jobs.through_gipc(count, {}, jobs.plain, message)
  end,
  gipc_pool = jobs.tasks,
  gipc_pool_ahead = function(count, message)
    return jobs.tasks(count, message, 20)
  end,
  recovering_gipc = jobs.recovering_gipc,
  recovering_child = jobs.recovering_child,
}

for line in io.lines() do
  local words = {}
  for name, value in line:gmatch "(%w+)=([%w_]+)" do
    words[name] = value
  end
  local run = peers[words.peer]
  print(run and run(tonumber(words.count), ("x"):rep(tonumber(words.size))) or "null")
  io.stdout:flush()
end
