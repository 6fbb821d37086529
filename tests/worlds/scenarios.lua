-- Runs the scenarios with these names in this process.
local folder = arg[0]:gsub("[^/]*$", "") .. "../bindings/lua/"
arg[0], arg[1], arg[2] = folder .. "suite.lua", "own", table.concat(arg, " ")
dofile(arg[0])
