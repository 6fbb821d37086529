-- What the tests of pools share.
local gipc = require "gipc"
local native = require "gipc.native"
local support = require "support"
local equal = support.equal

local shared = {}

-- A pool for the time of body(pool).
function shared.with_pool(options, work, body)
  local pool = gipc.pool(options, work)
  body(pool)
  assert(pool:stop(0))
  equal(tostring(pool), "gipc pool: stopped")
end

function shared.square(number)
  return number * number
end

function shared.pid_of()
  return support.pid()
end

-- A result that is a failure of this class.
function shared.failed(class, wanted, code, value, err, got)
  equal(value, nil)
  equal(err.class, class)
  equal(got, code)
  if not err.message:find(wanted) then
    error(("got %q, wanted %q"):format(err.message, wanted), 2)
  end
  return err
end

-- What map returns, without a loop, which could not wait on Lua 5.1.
function shared.collect(next_result)
  local list, order = {}, {}
  local index, value, err = next_result()
  while index do
    list[index] = value == nil and err or value
    table.insert(order, index)
    index, value, err = next_result()
  end
  return list, order
end

function shared.die(signal)
  os.execute(("kill -%s %d"):format(signal, support.pid()))
end

-- Waits in a worker until a file is there.
function shared.wait_for_file(path)
  local file = io.open(path)
  while not file do
    gipc.sleep(0.001)
    file = io.open(path)
  end
  file:close()
end

function shared.touch(path)
  assert(io.open(path, "w")):close()
end

-- How often the pools look at their descriptors during body().
function shared.count_looks(body)
  local count, look = 0, native.epoll_ready
  native.epoll_ready = function(epoll)
    count = count + 1
    return look(epoll)
  end
  body()
  native.epoll_ready = look
  return count
end

return shared
