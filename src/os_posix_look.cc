// POSIX: no descriptor tells of the end of a child (a join looks again and
// again), and nothing keeps the status of one that another reaper took.
#include "os_common.h"

#if !OS_HAS_KQUEUE

#include <cerrno>

namespace gipc::os {

int open_exit_fd(pid_t, Fd &) noexcept { return -ENOSYS; }

int kept_status(int, int *) noexcept { return -ENOSYS; }

int open_exit_set(Fd &) noexcept { return -ENOSYS; }

int enter_exit_set(int, int, void *) noexcept { return -ENOSYS; }

void leave_exit_set(int, int) noexcept {}

void *ended_of_exit_set(int) noexcept { return nullptr; }

} // namespace gipc::os

#endif // !OS_HAS_KQUEUE
