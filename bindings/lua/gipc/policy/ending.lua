--- How a process ended, in words.
-- @module gipc.policy.ending

--- @tparam ?table exit as Process:info() returns it
return function(exit)
  return exit and (exit.signal and "was killed by signal " .. exit.signal
    or exit.code and "ended with exit code " .. exit.code) or "ended, and its exit status is lost"
end
