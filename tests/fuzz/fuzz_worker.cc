// Any message of a worker: it is malformed, or has exactly these bytes, and the
// policy of a pool stays whole whatever its workers send.
#include "gipc.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

void must(bool holds) {
  if (!holds)
    std::abort();
}

void round_trip(const uint8_t *data, size_t size) {
  gipc_worker_message read{}, again{};
  read.size = again.size = sizeof read;
  int result = gipc_worker_decode(data, size, &read);
  must(result == 0 || result == GIPC_EPROTOCOL);
  if (result != 0)
    return;
  std::vector<uint8_t> bytes(size + 1);
  size_t needed = 0;
  must(gipc_worker_encode(&read, bytes.data(), size, &needed) == 0);
  must(needed == size && std::memcmp(bytes.data(), data, size) == 0);
}

// Carries out what the policy says, as if processes started and ended at once.
void carry_out(gipc_policy *policy, double now) {
  gipc_action action{};
  action.size = sizeof action;
  gipc_exit_info info{};
  info.size = sizeof info;
  while (gipc_policy_next(policy, now, &action) == 1) {
    if (action.kind == GIPC_ACTION_START)
      must(gipc_policy_started(policy, action.worker, 1, now) == 0);
    if (action.kind == GIPC_ACTION_STOP)
      must(gipc_policy_ended(policy, action.worker, &info, now) == 0);
  }
}

} // namespace

// The input is a sequence of messages: a byte with the worker, one with the
// size, and so many bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  round_trip(data, size);
  gipc_rules rules{};
  rules.size = sizeof rules;
  rules.most = rules.least = 2;
  rules.jitter = -1;
  gipc_policy *policy = nullptr;
  must(gipc_policy_new_pool(&rules, &policy) == 0);
  double now = 0;
  for (size_t at = 0; at + 2 <= size; now += 100) {
    uint64_t task;
    int submitted = gipc_policy_submit(policy, nullptr, &task);
    must(submitted == 0 || submitted == -EAGAIN || submitted == GIPC_ECLOSED);
    carry_out(policy, now);
    uint64_t worker = data[at];
    size_t length = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
    gipc_worker_message message{};
    message.size = sizeof message;
    round_trip(data + at + 2, length);
    int result = gipc_policy_received(policy, worker, data + at + 2, length,
                                      now, &message);
    must(result == 0 || result == GIPC_EPROTOCOL || result == -ENOENT);
    at += 2 + length;
  }
  must(gipc_policy_stop(policy, 0, now) == 0);
  carry_out(policy, now);
  gipc_policy_stats stats{};
  stats.size = sizeof stats;
  must(gipc_policy_get_stats(policy, &stats) == 0);
  uint64_t finished = 0;
  for (uint64_t count : stats.finished)
    finished += count;
  must(stats.workers == 0 && finished == stats.submitted);
  gipc_policy_free(policy);
  return 0;
}
