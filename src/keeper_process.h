// One process of a service, and what it reports.
#pragma once

#include "gipc.h"
#include "last_lines.h"
#include "notify.h"
#include "options.h"
#include "policy_keeper.h"
#include "supervised.h"
#include "watch.h"

#include <memory>
#include <string>
#include <vector>

struct ev_loop;

namespace gipc {

class Keeper;

// What each process of a service runs: a function, or a program.
struct Service {
  std::string name;
  Supervised::Target function = nullptr;
  void *argument = nullptr;
  std::vector<std::string> arguments; // of a program
  Options options;
  policy::ServiceRules rules;
  uint64_t starts = 0;   // of processes
  uint64_t failures = 0; // processes that were not asked to end
};

class KeeperProcess {
public:
  KeeperProcess(Keeper &keeper, policy::Id id, size_t service)
      : keeper_(keeper), id_(id), service_(service) {}
  // Kills a process that runs.
  ~KeeperProcess();
  KeeperProcess(const KeeperProcess &) = delete;
  KeeperProcess &operator=(const KeeperProcess &) = delete;

  // Throws bad_alloc.  After an error the process is of no use.
  int start(const Service &service, Options &options, struct ev_loop *loop);

  size_t service() const noexcept { return service_; }
  Supervised &process() noexcept { return process_; }
  // What it reports next, a mask of GIPC_NOTIFY_, or an error.
  int receive() noexcept;
  // It has ended: what it wrote to its stderr; none where that is not a pipe.
  gipc_text last_lines() noexcept;
  bool was_ready = false; // that was reported

private:
  int listen(const policy::LifeRules &rules, Options &options,
             struct ev_loop *loop);
  static void on_readable(void *) noexcept;
  static void on_exit(gipc_process *, void *) noexcept;
  static const HandleWatch::Events watch_events;

  Keeper &keeper_;
  const policy::Id id_;
  const size_t service_;
  std::unique_ptr<notify::Socket> socket_; // if it reports
  std::unique_ptr<HandleWatch> watch_;
  Supervised process_;
  LastLines lines_;
};

} // namespace gipc
