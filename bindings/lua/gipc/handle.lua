--- One end of a pipe.
-- @module gipc.handle
local Turn = require "gipc.turn"
local argument = require "gipc.argument"
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"

local take, put, put_lent, queue = native.take, native.put, native.put_lent, native.queue
local DONE, YIELD, LENT, QUEUED = native.DONE, native.YIELD, native.LENT, native.QUEUED

--- A handle; gipc.pipe, gipc.open, gipc.inherit and gipc.stdio make them.
-- @type Handle
local Handle = {}
Handle.__index = Handle
Handle.__name = "gipc handle"

local function either_of(read_fd, write_fd)
  local either = failure.collecting(native.epoll_new)
  if either and read_fd and native.epoll_add(either, read_fd, native.READ)
    and native.epoll_add(either, write_fd, native.WRITE) then
    return either
  end
end

-- What to wait for until the handle is writable.  A peer that only puts, too,
-- waits until somebody reads: what it puts is received meanwhile, by whoever
-- gets or else here, so that the wait is for both directions.
local function writable(self)
  local out = native.fd(self.native, native.WRITE)
  if not self.duplex then
    return out, "w"
  end
  if not self.getting.taken then
    local _, no_more = native.read_ahead(self.native)
    if no_more then
      return out, "w" -- the limit, or the end, which the next get tells
    end
  end
  self.either = self.either or either_of(native.fd(self.native, native.READ), out)
  if self.either then
    return native.fd_of(self.either), "r"
  end
  return out, "w"
end

-- Waits until a step may do something: whether there was time for that.
local function await(self, direction, deadline)
  local left = deadline and deadline - native.now()
  if left and left <= 0 then
    return false
  end
  if direction == native.WRITE then
    local fd, letter = writable(self)
    loop.wait(fd, letter, left)
  else
    loop.wait(native.fd(self.native, direction), "r", left)
  end
  return true
end

-- Repeats a step, whose results so far are given, until it is done or has failed, or
-- the timeout expires: its value, or true; or nil, message, code.
local function complete(self, direction, deadline, step, outcome, value, code)
  while outcome ~= DONE and outcome ~= nil do
    if outcome == YIELD then
      loop.let_others_run()
    elseif not await(self, direction, deadline) then
      return failure.timeout()
    end
    outcome, value, code = step(self.native)
  end
  if outcome == nil then
    return nil, value, code
  end
  return value or true
end

local function flush(self, deadline)
  return complete(self, native.WRITE, deadline, native.flush_step, native.flush_step(self.native))
end

-- What is queued leaves while the program does something else, where the loop
-- can do that; else with the next put, flush or close.
local function flush_beside(self)
  loop.spawn(function()
    self.flushing = true -- also while it is in line: a close goes on behind it
    self.putting:take(nil, flush, self)
    self.flushing = false
  end)
end

-- Takes back what a put that was broken off has lent.
local function end_put(self)
  if self.lent then
    local part_left = native.put_cancel(self.native) == 1
    self.lent = nil
    if part_left then
      flush_beside(self)
    end
    return part_left
  end
end

--- The options of a handle, checked before anything is made.
local function check_options(options, more)
  options = argument.options(options, "the last argument", more or { codec = true })
  codec.find(options.codec)
  return options
end

local function wrap(native_handle, options)
  local encode, decode = codec.find(options.codec)
  local self = setmetatable({
    native = native_handle,
    codec = options.codec or "msgpack",
    encode = encode,
    decode = decode,
  }, Handle)
  self.duplex = native.directions(native_handle) == native.READ + native.WRITE
  self.getting = Turn.new()
  self.putting = Turn.new(function()
    if self.either then
      loop.forget(native.fd_of(self.either))
      native.close_descriptor(self.either)
      self.either = nil
    end
    end_put(self)
  end)
  return self
end

-- Says more of a message over the limit than the library can.
local function failed(self, message, code, size)
  if code == native.ETOOBIG then
    local limit = self.limit and self.limit .. " bytes" or "1 GiB"
    if size then
      message = ("a message of %d bytes exceeds the limit of %s (set_limit): nothing was put"):format(size, limit)
    else
      message = ("the next message exceeds the limit of %s (set_limit before the first get): nothing more can be got%s")
        :format(limit, self.duplex and ", puts go on" or "")
    end
  end
  return failure.result(message, code)
end

-- ---- Getting --------------------------------------------------------------------

-- before: the outcome of the call without the lock, if there was one.
local function get_in_turn(self, deadline, before)
  if before == YIELD then
    loop.let_others_run()
  end
  return complete(self, native.READ, deadline, take, take(self.native))
end

local function decoded(self, ok, value)
  if ok then
    return value
  end
  return nil, "the message cannot be decoded: " .. failure.text(value), native.EBADMSG
end

local function received(self, data, message, code)
  if data == nil then
    return failed(self, message, code)
  end
  if self.decode then
    return decoded(self, pcall(self.decode, data))
  end
  return data
end

--- Gets the next message.
-- @tparam[opt] number timeout seconds for all of it; nil, or a negative number,
-- waits indefinitely; 0 takes what is there
-- @return the message; or nil, message, code
function Handle:get(timeout)
  local deadline = failure.deadline(timeout)
  local getting = self.getting
  local outcome, data, code
  if not getting.taken then
    outcome, data, code = take(self.native)
    if outcome == DONE then
      if self.decode then
        return decoded(self, pcall(self.decode, data))
      end
      return data
    elseif outcome == nil then
      return failed(self, data, code)
    end
  end
  return received(self, getting:take(deadline, get_in_turn, self, deadline, outcome))
end

--- The messages until the end of the stream, for a loop.  Any other end than a
-- clean one is an error.
function Handle:messages()
  return function()
    local value, message, code = self:get()
    if value == nil and code ~= native.EOF then
      error("gipc: " .. message, 2)
    end
    return value
  end
end

-- ---- Putting --------------------------------------------------------------------

local function encoded(self, value)
  if self.encode then
    local ok, data = pcall(self.encode, value)
    if not ok then
      codec.refuse(self.codec, value, data)
    end
    value = data
  end
  if type(value) ~= "string" then
    failure.misuse(
      self.encode and "the codec did not give a string"
        or "the raw codec takes strings only, not a " .. type(value)
    )
  end
  return value
end

local function in_progress()
  return nil, native.strerror(native.EINPROGRESS), native.EINPROGRESS
end

-- What the timeout of a put means.
local function put_result(self, value, message, code)
  if code == native.ETIMEDOUT and end_put(self) then
    return in_progress()
  end
  self.lent = nil
  return value, message, code
end

-- before: as for a get.
local function put_in_turn(self, deadline, data, before)
  self.lent = data -- before the library has it, as an interrupt may come at any time
  local outcome, message, code = before, nil, nil
  repeat
    if outcome == YIELD then
      loop.let_others_run()
    end
    outcome, message, code = put_lent(self.native, data)
  until outcome ~= YIELD
  return put_result(
    self,
    complete(self, native.WRITE, deadline, native.put_step, outcome, message, code)
  )
end

local function succeeded(value, message, code)
  if value == nil then
    return failure.result(message, code)
  end
  return true
end

-- A part of the message was written, and the remaining bytes are queued.
local function finish_put(self, deadline)
  local sent, message, code = self.putting:take(deadline, flush, self, deadline)
  if code == native.ETIMEDOUT then
    flush_beside(self)
    return in_progress()
  end
  return succeeded(sent, message, code)
end

--- Puts a message; it is with the kernel when this returns.
-- @tparam[opt] number timeout seconds for all of it; nil, or a negative number,
-- waits indefinitely
-- @return true; or nil, message, code
function Handle:put(value, timeout)
  local data = encoded(self, value)
  local deadline = failure.deadline(timeout)
  local putting = self.putting
  local outcome, message, code
  if not putting.taken then
    outcome, message, code = put(self.native, data)
    if outcome == DONE then
      return true
    elseif outcome == QUEUED then
      return finish_put(self, deadline)
    elseif outcome == nil then
      return failed(self, message, code, #data)
    end
  end
  local done
  done, message, code = putting:take(deadline, put_in_turn, self, deadline, data, outcome)
  if done == nil then
    return failed(self, message, code, #data)
  end
  return true
end

local function put_list_in_turn(self, deadline, list)
  local outcome, next, code, taken = queue(self.native, list, 1)
  while outcome and outcome ~= DONE do
    local sent, message = true, nil
    if outcome == YIELD then
      loop.let_others_run()
    elseif outcome == LENT then
      sent, message, code = put_in_turn(self, deadline, list[next])
      next = sent and next + 1 or next
    else
      sent, message, code = flush(self, deadline)
    end
    if not sent then
      return nil, message, code, next - 1
    end
    outcome, next, code, taken = queue(self.native, list, next)
  end
  if not outcome then
    flush(self, deadline) -- what was taken before it
    return nil, next, code, taken
  end
  local sent, message, failed = flush(self, deadline)
  if not sent then
    return nil, message, failed, #list
  end
  return true
end

--- Puts the messages of a list in few system calls.
-- @tparam table list
-- @tparam[opt] number timeout seconds for all of them, as for put
-- @return true when all are with the kernel; or nil, message, code and how many
-- were taken: those follow by themselves, the others were not put
function Handle:put_many(list, timeout)
  if type(list) ~= "table" then
    failure.misuse "a list of messages is needed"
  elseif list[1] == nil and next(list) ~= nil then
    failure.misuse "a list of messages is needed, and its item 1 is missing"
  end
  local encoded_list = list
  if self.encode then
    encoded_list = {}
    for i = 1, #list do
      encoded_list[i] = encoded(self, list[i])
    end
  else
    for i = 1, #list do
      if type(list[i]) ~= "string" then
        encoded(self, list[i])
      end
    end
  end
  local deadline = failure.deadline(timeout)
  local sent, message, code, taken =
    self.putting:take(deadline, put_list_in_turn, self, deadline, encoded_list)
  if sent then
    return true
  end
  taken = taken or 0
  if taken > 0 then
    flush_beside(self)
  end
  local refused = code == native.ETOOBIG and encoded_list[taken + 1]
  local _, words = failed(self, message, code, refused and #refused)
  return nil, words, code, taken
end

--- Sends what is queued.
-- @tparam[opt] number timeout seconds, as for put
-- @return true; or nil, message, code
function Handle:flush(timeout)
  local deadline = failure.deadline(timeout)
  return succeeded(self.putting:take(deadline, flush, self, deadline))
end

-- ---- The rest -------------------------------------------------------------------

-- Nobody gets or puts; the background flush may.
local function check_free(self)
  if self.getting:busy() or self.putting:busy() and not self.flushing then
    failure.misuse "a get or put of another coroutine is in progress on this handle"
  end
end

local function ending(self, step, timeout)
  check_free(self)
  local deadline = failure.deadline(timeout)
  return succeeded(self.putting:take(deadline, function()
    return complete(self, native.WRITE, deadline, function(h)
      native.flush_step(h) -- what is wrong with it, the step tells
      return step(h)
    end, step(self.native))
  end))
end

-- Before a descriptor is closed, a loop forgets it.
local function forget(self)
  loop.forget(native.fd(self.native, native.READ))
  loop.forget(native.fd(self.native, native.WRITE))
end

--- Closes the handle; what is queued leaves first.
-- @tparam[opt] number timeout seconds for that, as for put
-- @return true; or nil, message, code, and it is still open
function Handle:close(timeout)
  return ending(self, function(h)
    forget(self)
    return native.close(h)
  end, timeout)
end

--- Closes the handle at once.  Of what is queued, what cannot be written now is
-- discarded, so that the peer may find its stream cut inside a message.
-- @treturn boolean true
function Handle:abort()
  check_free(self)
  local function abort()
    forget(self)
    return native.abort_handle(self.native)
  end
  -- A background flush may wait for the descriptor, and select() fails with a closed
  -- one; other loops forget it.
  local fd = self.flushing and loop.needs_open() and native.fd(self.native, native.WRITE)
  if fd and native.shut(fd) then
    return succeeded(self.putting:take(nil, abort))
  end
  return succeeded(abort())
end

--- Ends the writing direction: the peer reads what was put, then the end of the
-- stream.
-- @tparam[opt] number timeout seconds for that, as for put
function Handle:shutdown(timeout)
  return ending(self, native.shutdown, timeout)
end

-- The end of a block on Lua 5.4.  After an error it does not wait for the peer.
function Handle:__close(why)
  if self:closed() then
    return
  elseif why ~= nil then
    self:abort()
  else
    self:close()
  end
end

function Handle:__tostring()
  local r = native.fd(self.native, native.READ)
  local w = native.fd(self.native, native.WRITE)
  if not r and not w then
    return "gipc handle: closed"
  end
  return "gipc handle:" .. (r and " reads " .. r or "") .. (w and " writes " .. w or "")
end

for name, method in pairs(require "gipc.state") do
  Handle[name] = method
end

return { Handle = Handle, wrap = wrap, check_options = check_options }
