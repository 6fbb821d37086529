-- Answers each message on stdin with the same one on stdout, and prints as
-- programs do that know nothing of it; ends with the code that it is given.

local gipc = require "gipc"

-- And still in a buffer, as print is not; but not on a terminal.
local on_terminal = os.execute "test -t 1"
if on_terminal ~= true and on_terminal ~= 0 then
  io.write "printed before\n"
end
local handle = assert(gipc.stdio { codec = "raw" })
for message in handle:messages() do
  print("printed with " .. #message .. " bytes in hand")
  os.execute("echo printed by a program; cat")
  assert(handle:put(message))
end
print("printed after")
os.exit(tonumber(arg[1]))
