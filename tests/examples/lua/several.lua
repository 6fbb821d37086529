-- Reads from several children, whichever has a message, and sees how each ends.
local gipc = require "gipc"

local function count(writer, number)
  for multiple = 0, 2 do
    writer:put(multiple * number)
  end
  os.exit(number)
end

local children, members = {}, {}
for _, number in ipairs { 1, 10, 100 } do
  local reader, writer = gipc.pipe()
  local child = gipc.start_process(count, writer, number)
  children[child] = true
  table.insert(members, reader)
  table.insert(members, child)
end

local function remove(one)
  for i, member in ipairs(members) do
    if member == one then
      return table.remove(members, i)
    end
  end
end

local numbers, codes = {}, {}
while #members > 0 do
  for _, one in ipairs(gipc.wait(members)) do
    local number = not children[one] and one:get()
    if children[one] then
      table.insert(codes, one:exitcode())
      remove(one)
    elseif number then
      table.insert(numbers, number)
    else -- the end of the stream, before or after that of the process
      one:close()
      remove(one)
    end
  end
end
table.sort(numbers)
table.sort(codes)
print(table.concat(numbers, " "))
print(table.concat(codes, " "))
