-- What is measured of gipc in Lua: messages of one size to a worker.
local gipc = require "gipc"
local native = require "gipc.native"

local jobs = {}

-- Messages a second, from the first put to the worker's answer.
function jobs.through_gipc(count, options, put, message)
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
    put(w, count, message)
    answers:get()
    local took = native.now() - started
    worker:join()
    w:close()
    answers:close()
    return count / took
  end)
end

function jobs.plain(w, count, message)
  for _ = 1, count do
    w:put(message)
  end
end

function jobs.in_batches(w, count, message)
  local batch = {}
  for i = 1, 64 do
    batch[i] = message
  end
  for _ = 1, count, #batch do
    w:put_many(batch)
  end
end

return jobs
