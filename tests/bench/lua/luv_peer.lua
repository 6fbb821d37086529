-- The same messages over luv: a pipe, one write for each framed message, and a
-- reader that takes the frames out of what has arrived.
local peer = {}

local found, uv = pcall(require, "luv")

function peer.available()
  return found
end

local function header(size)
  return string.char(math.floor(size / 2 ^ 24) % 256, math.floor(size / 2 ^ 16) % 256,
    math.floor(size / 256) % 256, size % 256)
end

local unpack_size = string.unpack and function(s, at)
  return (string.unpack(">i4", s, at))
end or function(s, at)
  local a, b, c, d = s:byte(at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- The worker: arg[2] is how many messages come.
function peer.work(count)
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  input:open(0)
  output:open(1)
  -- Chunks are joined when they hold a frame: else it takes the square of its size.
  local chunks, have, needed, got = {}, 0, 4, 0
  input:read_start(function(_, chunk)
    if not chunk then
      return input:close()
    end
    chunks[#chunks + 1] = chunk
    have = have + #chunk
    if have < needed then
      return
    end
    local buffer = #chunks == 1 and chunk or table.concat(chunks)
    local at, length = 1, have
    needed = 4
    while length - at >= 3 do
      local size = unpack_size(buffer, at)
      if length - at - 3 < size then
        needed = size + 4
        break
      end
      local message = buffer:sub(at + 4, at + 3 + size) -- luacheck: ignore
      at = at + 4 + size
      got = got + 1
    end
    chunks, have = {}, length - at + 1
    if have > 0 then
      chunks[1] = buffer:sub(at)
    end
    if got == count then
      output:write "done"
    end
  end)
  output:write "ready"
  uv.run()
end

-- Messages a second, from the first write to the worker's answer.
function peer.measure(interpreter, folder, count, message)
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  local rate
  local child = uv.spawn(interpreter, {
    args = { folder .. "/luv_peer.lua", tostring(count) },
    stdio = { input, output, 2 },
  }, function() end)
  local co
  co = coroutine.create(function()
    coroutine.yield() -- ready
    local started = uv.hrtime()
    local resume = function()
      coroutine.resume(co)
    end
    for i = 1, count do
      -- Now and then wait for the queue, as a program must.
      if i % 64 == 0 and input:get_write_queue_size() > 65536 then
        input:write({ header(#message), message }, resume)
        coroutine.yield()
      else
        input:write { header(#message), message }
      end
    end
    coroutine.yield() -- done
    rate = count / ((uv.hrtime() - started) / 1e9)
    input:close()
    output:close()
    child:close()
  end)
  coroutine.resume(co)
  output:read_start(function(_, chunk)
    if chunk then
      assert(coroutine.resume(co))
    end
  end)
  uv.run()
  return rate
end

if arg and arg[0]:find "luv_peer" then
  peer.work(tonumber(arg[1]))
end

return peer
