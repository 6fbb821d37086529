/* What the kernel does, and an emulator such as qemu-user does not: prints the
 * name of each limit that is seen here, without the library.  skipped.tsv has
 * the tests that fail by them; they are run where the limit is not seen. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each of these is run in a child of its own, and is true where the limit is
 * seen. So is it where the child is killed. */

/* A filter that refuses nothing cannot be installed. */
static bool seccomp(void) {
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0;
}

static long clone_with(long flags) {
#ifdef __s390__
  return syscall(SYS_clone, 0L, flags, 0L, 0L, 0L);
#else
  return syscall(SYS_clone, flags, 0L, 0L, 0L, 0L);
#endif
}

/* No child can be forked for the parent of this process. */
static bool clone_parent(void) {
  long pid = clone_with(CLONE_PARENT);
  if (pid == 0)
    _exit(0);
  return pid < 0;
}

/* A page that no child is to have is there. */
static bool dontfork(void) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  char *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || madvise(page, size, MADV_DONTFORK) != 0)
    return true;
  pid_t pid = fork();
  if (pid == 0) {
    unsigned char resident;
    _exit(mincore(page, size, &resident) == 0 ? 1 : 0);
  }
  int status = 0;
  return waitpid(pid, &status, 0) != pid || status != 0;
}

/* A program of one thread has several in /proc. */
static bool threads(void) {
  struct stat info;
  return stat("/proc/self/task", &info) != 0 || info.st_nlink != 3;
}

/* A program that handles no signal has handlers in /proc. */
static bool handlers(void) {
  unsigned long long caught = 1;
  char line[256];
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, "SigCgt:", 7) == 0)
      caught = strtoull(line + 7, NULL, 16);
  return caught != 0;
}

/* Some signal has no effect, though its action is to end the program. */
static bool last_signals(void) {
  for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
    pid_t pid = fork();
    if (pid == 0) {
      raise(number);
      _exit(0);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) ||
        WTERMSIG(status) != number)
      return true;
  }
  return false;
}

/* select(2) of descriptors beyond 1,023, with which libev calls it. */
static bool large_select(void) {
  enum { number = 1500 };
  static unsigned long set[2048 / (8 * sizeof(unsigned long))];
  const size_t bits = 8 * sizeof *set;
  struct rlimit room = {number + 1, number + 1};
  struct timeval now = {0, 0};
  if (setrlimit(RLIMIT_NOFILE, &room) != 0 || dup2(0, number) != number)
    return false;
  set[number / bits] = 1UL << number % bits;
#ifdef SYS__newselect
  return syscall(SYS__newselect, number + 1, set, NULL, NULL, &now) < 0;
#elif defined SYS_select
  return syscall(SYS_select, number + 1, set, NULL, NULL, &now) < 0;
#else
  struct timespec none = {0, 0};
  (void)now;
  return syscall(SYS_pselect6, number + 1, set, NULL, NULL, &none, NULL) < 0;
#endif
}

/* More memory can be had than RLIMIT_AS allows. */
static bool memory_limit(void) {
  struct rlimit none = {4096, 4096};
  return setrlimit(RLIMIT_AS, &none) != 0 ||
         mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static const struct limit {
  const char *name;
  bool (*is_seen)(void);
} limits[] = {
    {"seccomp", seccomp},           {"clone_parent", clone_parent},
    {"dontfork", dontfork},         {"threads", threads},
    {"handlers", handlers},         {"last_signals", last_signals},
    {"large_select", large_select}, {"memory_limit", memory_limit},
};

int main(void) {
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    pid_t pid = fork();
    if (pid < 0)
      return 1;
    if (pid == 0) {
      struct rlimit none = {0, 0};
      setrlimit(RLIMIT_CORE, &none);
      _exit(limits[i].is_seen() ? 1 : 0);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid)
      return 1;
    if (status != 0)
      puts(limits[i].name);
    fflush(stdout);
  }
  return 0;
}
