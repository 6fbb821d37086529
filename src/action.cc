// The actions of a policy as events.
#include "action.h"

namespace gipc {

void report_action(const policy::Action &action) noexcept {
  using Kind = policy::Action::Kind;
  const char *kind = policy::name(action.kind);
  if (action.kind == Kind::start && action.attempt > 1)
    trace::restarted(action.worker, action.service, action.attempt - 1);
  else if (action.kind == Kind::send)
    trace::task(action.task, action.worker, action.pid, action.attempt, kind,
                nullptr);
  else if (action.kind == Kind::finish)
    trace::task(action.task, action.worker, action.pid, action.attempt, kind,
                policy::name(action.why));
}

} // namespace gipc
