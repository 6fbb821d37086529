-- Tasks that share a few worker processes: a caller waits for a free worker, and the
-- other tasks run.
local gipc = require "gipc"

local function work(pipe)
  for number in pipe:messages() do
    local sum = 0
    for i = 0, number - 1 do
      sum = sum + i * i
    end
    pipe:put { number = number, sum = sum }
  end
end

gipc.run(function()
  local workers, free = {}, {}
  for i = 1, 3 do
    local mine, theirs = gipc.pipe { duplex = true }
    workers[i] = { pipe = mine, process = gipc.start_process(work, theirs), jobs = 0 }
    free[i] = workers[i]
  end

  local function ask(number)
    while not free[1] do
      gipc.sleep(0.001)
    end
    local worker = table.remove(free, 1)
    worker.jobs = worker.jobs + 1
    assert(worker.pipe:put(number))
    local answer = assert(worker.pipe:get())
    table.insert(free, worker)
    assert(answer.number == number)
    return answer.sum
  end

  local tasks, total, busy = {}, 0, 0
  for number = 1, 100 do
    tasks[number] = gipc.spawn(ask, number)
  end
  for _, task in ipairs(tasks) do
    total = total + select(2, assert(task:join()))
  end
  for _, worker in ipairs(workers) do
    busy = busy + (worker.jobs > 0 and 1 or 0)
    worker.pipe:close()
    worker.process:join()
  end
  print(busy .. " workers")
  print(("%d"):format(total))
end)
