// The names of what the policies decide.
#include "policy.h"

namespace gipc::policy {

const char *name(Why why) noexcept {
  static const char *const names[whys] = {
      "none",      "done",   "failed",    "died",     "poison",  "timed_out",
      "cancelled", "silent", "not_ready", "protocol", "retired", "idle",
      "reload",    "group",  "stopped",   "gave_up"};
  return names[static_cast<size_t>(why)];
}

const char *name(Action::Kind kind) noexcept {
  static const char *const names[] = {
      "none",     "start",         "send",    "dump",    "stop",
      "kill",     "finish",        "drained", "gave_up", "finished",
      "reloaded", "reload_failed", "stopped"};
  return names[static_cast<size_t>(kind)];
}

} // namespace gipc::policy
