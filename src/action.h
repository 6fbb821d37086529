// The actions of a policy as events.
#pragma once

#include "policy.h"
#include "trace.h"

namespace gipc {

// While trace::is_on(): a task that is sent or has finished, and a worker or a
// service that is started again.
void report_action(const policy::Action &action) noexcept;

} // namespace gipc
