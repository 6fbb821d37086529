--- What goes with a message: handles, which move, and descriptors.
local argument = require "gipc.argument"
local failure = require "gipc.failure"
local loop = require "gipc.loop"
local native = require "gipc.native"

local attached = {}

-- Removes the descriptors from the loop, before they are closed.
function attached.forget(self)
  loop.forget(native.fd(self.native, native.READ))
  loop.forget(native.fd(self.native, native.WRITE))
end

function attached.check_free(self)
  if self.getting:is_locked_elsewhere() or self.putting:is_locked_elsewhere() and not self.flushing then
    failure.misuse "a get or put of another coroutine is in progress on this handle"
  end
end

-- One step of a put in which handles move.
function attached.queue_with(self, data, handles, fds)
  local natives = {}
  for i, handle in ipairs(handles) do
    attached.check_free(handle)
    attached.forget(handle)
    natives[i] = handle.native
  end
  local outcome, message, code = native.queue_with(self.native, data, natives, fds)
  if code == native.EBUSY then
    message = "a handle has received or queued bytes, which a message cannot bring"
  end
  return outcome, message, code
end

-- The handles of a list, and its descriptors.
function attached.parted(list, Handle)
  local handles, fds = {}, {}
  for _, item in ipairs(argument.table(list, "fds", "a list of descriptors and handles")) do
    local is_handle = getmetatable(item) == Handle
    table.insert(is_handle and handles or fds, item)
  end
  return handles, fds
end

return attached
