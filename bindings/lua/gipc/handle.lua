--- One end of a pipe.
-- @module gipc.handle
local FairLock = require "gipc.fair_lock"
local argument = require "gipc.argument"
local codec = require "gipc.codec"
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"
local transport = require "gipc.transport"

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

-- What to wait for until the handle is writable.  The peer may also be blocked in a put:
-- this reads ahead, unless a get is in progress, and the wait is for both directions, so
-- that both peers can continue.
local function writable(self)
  local out = native.fd(self.native, native.WRITE)
  if not self.duplex then
    return out, "w"
  end
  if not self.getting.locked then
    local _, no_more = native.read_ahead(self.native)
    if no_more then
      return out, "w" -- the limit or the end of the stream; the next get returns it
    end
  end
  self.either = self.either or either_of(native.fd(self.native, native.READ), out)
  if self.either then
    return native.fd_of(self.either), "r"
  end
  return out, "w"
end

-- Waits until a step may succeed.  Returns false if the timeout has expired.
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

-- Repeats a step, whose last results are given, until it is done or has failed, or the
-- timeout expires.  Returns its value, or true; or nil, message, code.
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

-- Starts the background flush of queued bytes, if the loop can run another coroutine;
-- otherwise the next put, flush or close writes them.
local function flush_in_background(self)
  loop.spawn(function()
    self.flushing = true -- also while it waits for the lock: a close waits for it
    self.putting:exclusively(nil, flush, self)
    self.flushing = false
  end)
end

-- Ends the loan of a string to the library after an interrupted put.  Returns whether a
-- part of the message was written; the remaining bytes are queued then.
local function end_put(self)
  if self.lent then
    local is_queued = native.put_cancel(self.native) == 1
    self.lent = nil
    if is_queued then
      flush_in_background(self)
    end
    return is_queued
  end
end

local handle_options = { codec = true, transport = true }

--- The options of a handle, checked before anything is made.
local function check_options(options, more)
  options = argument.options(options, "the last argument", more or handle_options)
  codec.find(options.codec)
  if options.transport ~= nil then
    transport.number(options.transport)
  end
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
  self.getting = FairLock.new()
  self.putting = FairLock.new(function()
    if self.either then
      loop.forget(native.fd_of(self.either))
      native.close_descriptor(self.either)
      self.either = nil
    end
    end_put(self)
  end)
  return self
end

-- Adds sizes to the error of a message over the limit.
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
local function get_locked(self, deadline, before)
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
-- @tparam[opt] number timeout seconds for the whole message; nil, or a negative number,
-- waits indefinitely; 0 does not wait
-- @return the message; or nil, error text, error code (gipc.EOF at the end of the stream,
-- gipc.ETIMEDOUT if the timeout expires)
function Handle:get(timeout)
  local deadline = failure.deadline(timeout)
  local getting = self.getting
  local outcome, data, code
  if not getting.locked then
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
  return received(self, getting:exclusively(deadline, get_locked, self, deadline, outcome))
end

--- Iterates over the messages until the end of the stream.  A failure is raised as an
-- error.
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
      self.encode and "the codec did not return a string"
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
local function put_locked(self, deadline, data, before)
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
  local sent, message, code = self.putting:exclusively(deadline, flush, self, deadline)
  if code == native.ETIMEDOUT then
    flush_in_background(self)
    return in_progress()
  end
  return succeeded(sent, message, code)
end

local function put_with_locked(self, deadline, data, fds)
  local outcome, message, code = native.queue_with(self.native, data, fds)
  while outcome and outcome ~= DONE do
    local sent = true
    if outcome == YIELD then
      loop.let_others_run()
    else
      sent, message, code = flush(self, deadline)
    end
    if not sent then
      return nil, message, code
    end
    outcome, message, code = native.queue_with(self.native, data, fds)
  end
  if not outcome then
    return nil, message, code
  end
  local sent
  sent, message, code = flush(self, deadline)
  if code == native.ETIMEDOUT then
    flush_in_background(self)
    return in_progress()
  end
  return sent, message, code
end

--- Puts a message.
-- @tparam[opt] number timeout seconds for the whole message; nil, or a negative number,
-- waits indefinitely
-- @tparam[opt] table fds up to 253 descriptors, of which the peer takes copies with
-- take_fds(); they can be closed when the call returns.  gipc.EOPNOTSUPP: the peer is not
-- known to take descriptors
-- @return true when all bytes are written (accepted by the kernel, or in a ring); or nil, error text,
-- error code (gipc.ETIMEDOUT: nothing was written; gipc.EINPROGRESS: a part was written,
-- and the remaining bytes are queued)
function Handle:put(value, timeout, fds)
  local data = encoded(self, value)
  local deadline = failure.deadline(timeout)
  local putting = self.putting
  local outcome, message, code
  if fds then
    outcome, message, code = putting:exclusively(deadline, put_with_locked, self, deadline, data, fds)
    if outcome == nil then
      return failed(self, message, code, #data)
    end
    return true
  end
  if not putting.locked then
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
  done, message, code = putting:exclusively(deadline, put_locked, self, deadline, data, outcome)
  if done == nil then
    return failed(self, message, code, #data)
  end
  return true
end

local function put_list_locked(self, deadline, list)
  local outcome, next, code, accepted = queue(self.native, list, 1)
  while outcome and outcome ~= DONE do
    local sent, message = true, nil
    if outcome == YIELD then
      loop.let_others_run()
    elseif outcome == LENT then
      sent, message, code = put_locked(self, deadline, list[next])
      next = sent and next + 1 or next
    else
      sent, message, code = flush(self, deadline)
    end
    if not sent then
      return nil, message, code, next - 1
    end
    outcome, next, code, accepted = queue(self.native, list, next)
  end
  if not outcome then
    flush(self, deadline) -- the messages queued before it
    return nil, next, code, accepted
  end
  local sent, message, failed = flush(self, deadline)
  if not sent then
    return nil, message, failed, #list
  end
  return true
end

--- Puts the messages of a list, in batches that reduce the number of system calls.
-- @tparam table list
-- @tparam[opt] number timeout seconds for all messages, as for put
-- @return true when all bytes are written; or nil, error text, error code, and the number
-- of accepted messages: these are written or queued, the others were not put
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
  local sent, message, code, accepted =
    self.putting:exclusively(deadline, put_list_locked, self, deadline, encoded_list)
  if sent then
    return true
  end
  accepted = accepted or 0
  if accepted > 0 then
    flush_in_background(self)
  end
  local refused = code == native.ETOOBIG and encoded_list[accepted + 1]
  local _, words = failed(self, message, code, refused and #refused)
  return nil, words, code, accepted
end

--- Sends what is queued.
-- @tparam[opt] number timeout seconds, as for put
-- @return true; or nil, message, code
function Handle:flush(timeout)
  local deadline = failure.deadline(timeout)
  return succeeded(self.putting:exclusively(deadline, flush, self, deadline))
end

-- ---- Closing and properties -----------------------------------------------------

-- Raises an error if a get or put is in progress; a background flush may be.
local function check_free(self)
  if self.getting:is_locked_elsewhere() or self.putting:is_locked_elsewhere() and not self.flushing then
    failure.misuse "a get or put of another coroutine is in progress on this handle"
  end
end

local function ending(self, step, timeout)
  check_free(self)
  local deadline = failure.deadline(timeout)
  return succeeded(self.putting:exclusively(deadline, function()
    return complete(self, native.WRITE, deadline, function(h)
      native.flush_step(h) -- the step returns the same error
      return step(h)
    end, step(self.native))
  end))
end

-- Removes the descriptors from the loop, before they are closed.
local function forget(self)
  loop.forget(native.fd(self.native, native.READ))
  loop.forget(native.fd(self.native, native.WRITE))
end

--- Closes the handle, after queued bytes are written.
-- @tparam[opt] number timeout seconds for that, as for put
-- @return true; or nil, error text, error code: the handle is still open
function Handle:close(timeout)
  return ending(self, function(h)
    forget(self)
    return native.close(h)
  end, timeout)
end

--- Closes the handle at once.  Queued bytes that cannot be written now are discarded, so
-- that the peer may get gipc.ETRUNCATED.
-- @treturn boolean true
function Handle:abort()
  check_free(self)
  local function abort()
    forget(self)
    return native.abort_handle(self.native)
  end
  -- A background flush may wait for the descriptor.  select() fails with a closed one;
  -- it is removed from other loops.
  local fd = self.flushing and loop.needs_open() and native.fd(self.native, native.WRITE)
  if fd and native.shut(fd) then
    return succeeded(self.putting:exclusively(nil, abort))
  end
  return succeeded(abort())
end

--- Shuts down the writing direction: the peer gets all messages, then the end of the
-- stream.
-- @tparam[opt] number timeout seconds for that, as for put
function Handle:shutdown(timeout)
  return ending(self, native.shutdown, timeout)
end

-- Called at the end of a block on Lua 5.4.  After an error it does not wait.
function Handle:__close(why)
  if self:closed() then
    return
  elseif why ~= nil then
    self:abort()
  else
    self:close()
  end
end

for name, method in pairs(require "gipc.state") do
  Handle[name] = method
end

return { Handle = Handle, wrap = wrap, check_options = check_options }
