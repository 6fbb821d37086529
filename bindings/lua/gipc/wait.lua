--- Waiting for several handles and processes at once.
-- @module gipc.wait
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local guard = require "gipc.guard"
local handle = require "gipc.handle"
local loop = require "gipc.loop"
local native = require "gipc.native"
local process = require "gipc.process"

local directions = { r = native.READ, w = native.WRITE, rw = native.READ + native.WRITE }

-- What is waited for, and a descriptor that is readable when there may be more.
local Members = {}
Members.__index = Members

local function misuse(i, item)
  failure.misuse(("item %d is a handle, a process, or { handle, \"r\" | \"w\" | \"rw\" }, not %s")
    :format(i, failure.describe(item)))
end

local function watch(self, fd, events)
  if fd then
    failure.check(native.epoll_add(self.epoll, fd, events))
  else
    self.pause = 0.05 -- a kernel that has no descriptor of a process
  end
end

local function add_handle(self, i, h, events)
  local wanted = directions[events or h:events()] or misuse(i, h)
  for _, direction in ipairs { native.READ, native.WRITE } do
    if math.floor(wanted / direction) % 2 == 1 then
      watch(self, failure.check(native.fd(h.native, direction)), direction)
    end
  end
  failure.check(native.wait_set_add_handle(self.set, h.native, wanted))
  return native.address(h.native)
end

local function add(self, i, item)
  local meta = getmetatable(item)
  if meta == handle.Handle then
    return add_handle(self, i, item)
  elseif meta == process.Process then
    watch(self, (item:fd()), native.READ)
    failure.check(native.wait_set_add_process(self.set, item.native))
    return native.address(item.native)
  elseif type(item) == "table" and getmetatable(item[1]) == handle.Handle then
    return add_handle(self, i, item[1], item[2])
  end
  misuse(i, item)
end

function Members:release()
  loop.forget(native.fd_of(self.epoll))
  native.close_descriptor(self.epoll)
end

local function ready_of(self, list)
  local found = native.ready(self.set)
  if not found then
    return nil
  end
  local ready = {}
  for i, item in ipairs(list) do
    if found[self.addresses[i]] then
      table.insert(ready, item)
    end
  end
  return ready
end

local function wait_for(self, list, deadline)
  for i, item in ipairs(list) do
    self.addresses[i] = add(self, i, item)
  end
  local ready = ready_of(self, list)
  while not ready do
    local left = deadline and deadline - native.now()
    if left and left <= 0 then
      return failure.timeout()
    end
    loop.wait(native.fd_of(self.epoll), "r", self.pause and math.min(self.pause, left or self.pause) or left)
    ready = ready_of(self, list)
  end
  return ready
end

--- Waits until some of the items are ready: a handle that reads when a get returns at
-- once, or its descriptor is readable (perhaps for a part of a message); one that
-- writes when its descriptor is writable; a process when it has ended.
-- @tparam table list handles, processes, and { handle, "r" | "w" | "rw" }
-- @tparam[opt] number timeout seconds; nil, or a negative number, waits indefinitely
-- @treturn table those that are ready, in their order; or nil, "timeout", code
return function(list, timeout)
  argument.list(list, "what is waited for")
  if list[1] == nil then
    failure.misuse "there is nothing to wait for: the list is empty"
  end
  local deadline = failure.deadline(timeout)
  local members = setmetatable({
    epoll = failure.check(failure.collecting(native.epoll_new)),
    addresses = {},
  }, Members)
  return guard(members, function()
    members.set = failure.check(failure.collecting(native.wait_set_new))
    return wait_for(members, list, deadline)
  end)
end
