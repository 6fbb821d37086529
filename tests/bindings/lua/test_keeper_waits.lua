-- Keepers: waits until the services are ready.
local gipc = require "gipc"
local support = require "support"
local shared = require "support_keepers"
local equal, fails = support.equal, support.fails
local with_keeper, runs, ready_and_runs = shared.with_keeper, shared.runs, shared.ready_and_runs

return function(test)
  test("a_wait_returns_when_each_service_is_ready", function()
    local path = os.tmpname()
    os.remove(path)
    with_keeper({
      { name = "once", argv = { "true" }, restart = "never" },
      { name = "web", notify = true, args = { path }, work = function(where)
        support.wait_until(function()
          return io.open(where)
        end)
        ready_and_runs()
      end },
      { name = "last", work = runs },
    }, function(keeper)
      fails(gipc.ETIMEDOUT, "^timeout$", keeper:wait_ready(0.01))
      assert(io.open(path, "w")):close()
      equal(keeper:wait_ready(20), true)
      equal(keeper:service("last").state, "ready")
      equal(keeper:wait_ready(0), true)
      keeper:stop()
      fails(gipc.ECLOSED, "the keeper is stopped", keeper:wait_ready())
    end)
    os.remove(path)
    with_keeper({
      { name = "web", work = runs }, { name = "gone", argv = { "/no/such" }, first_delay = 0.001, limit = 1 },
    }, function(keeper)
      local _, err = keeper:wait_ready(20)
      equal(err.service, "gone")
    end)
  end)
end
