-- Keepers: waits until the services are ready, on_change, and the signal for tracebacks.
local gipc = require "gipc"
local support = require "support"
local pools = require "support_pools"
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

  test("on_change_is_called_after_the_keeper_is_returned", function()
    local keeper, states = nil, {}
    keeper = gipc.keep { { name = "a", work = runs }, on_change = function(change)
      table.insert(states, change.state .. (keeper and "" or " too early"))
      if change.state == "ready" and not support.is_51 then -- there it cannot wait
        keeper:stop()
      end
    end }
    equal(states[1], nil)
    if support.is_51 then
      keeper:stop()
    end
    assert(keeper:wait())
    equal(table.concat(states, " "), "starting ready stopping ended")
  end)

  -- Without a handler it would end the process.
  support.once(test)("the_signal_for_tracebacks_waits_for_its_handler", function()
    local trace = require "gipc.policy.trace"
    local on, path = trace.on, os.tmpname()
    os.remove(path)
    trace.on = function(signal)
      local prepare = on(signal)
      return function() -- in the service
        pools.wait_for_file(path)
        prepare()
      end
    end
    local service = { name = "web", silence = 0.05, dump = 60, stderr = "null", work = runs }
    with_keeper({ service }, function(keeper, changes)
      shared.until_changed(keeper, changes, "web silent")
      pools.touch(path)
      shared.until_holds(keeper, function()
        return #changes > 3 -- silent again, after the first message
      end)
      equal(table.concat(changes, ", "), "web starting, web ready, web silent, web silent")
    end)
    trace.on = on
    os.remove(path)
  end)
end
