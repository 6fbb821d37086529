-- What children of a template call.
local gipc = require "gipc"
local support = require "support"

local jobs = { loaded = false }

function jobs.tell(w, ...)
  local status = io.open "/proc/self/status"
  local parent = tonumber(status:read("*a"):match "PPid:%s*(%d+)")
  status:close()
  w:put { parent = parent, wave = package.loaded.template_wave ~= nil, count = select("#", ...), arguments = { ... } }
end

function jobs.fails()
  error "of the child"
end

function jobs.exits(code)
  os.exit(code)
end

function jobs.echo(duplex, w)
  support.echo(duplex)
  w:put "end"
end

function jobs.shows(w)
  local pwd = io.popen "pwd"
  w:put { cwd = pwd:read "*l", a = os.getenv "A", home = os.getenv "HOME", input = io.read "*a" }
  pwd:close()
end

function jobs.sleeps_in_tasks(w)
  local done = {}
  for i = 1, 3 do
    gipc.spawn(function()
      gipc.sleep(0.001)
      done[#done + 1] = i
      if #done == 3 then
        w:put(done)
      end
    end)
  end
end

function jobs.holds(w)
  w:put "held"
  gipc.sleep(1000)
end

return jobs
