// What the functions of policies share with those of pools and keepers.
#pragma once

#include "capi.h"

#include "policy_keeper.h"
#include "policy_pool.h"

namespace gipc {

// in may be null: the defaults.  -EINVAL: a rule is wrong.
int read_pool_rules(const gipc_rules *in, policy::PoolRules &out);
int read_service_rules(const gipc_rules *in, policy::ServiceRules &out,
                       uint64_t &seed);
int read_task_rules(const gipc_task_rules *in, policy::TaskRules &out);

// The size of *out is checked, and *out is filled.
int describe_stats(const policy::Pool &pool, gipc_policy_stats *out);
// -ENOENT: there is no such slot.
int describe_worker(const policy::Pool &pool, size_t slot,
                    gipc_worker_stats &out);

} // namespace gipc
