/* Makes a hostile world, shows that it is one, and runs a program in it.
 *   enter [ACTION [VALUE...]]... -- PROGRAM [ARGUMENT...]
 * Ends with 77 where the world cannot be made, and says why in its last line;
 * with 99 where it was made, and is not what it says. */
#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void cannot(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(77);
}

void proven(bool holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "this world is not what it says: %s (%s)\n", what,
          strerror(errno));
  exit(99);
}

/* ---- Signals ------------------------------------------------------------ */

static bool is_reaped_by_the_kernel(void) {
  int status;
  pid_t pid = fork();
  if (pid == 0)
    _exit(3);
  return pid > 0 && waitpid(pid, &status, 0) < 0 && errno == ECHILD;
}

static void ignore_sigchld(char **values) {
  signal(SIGCHLD, SIG_IGN);
  proven(is_reaped_by_the_kernel(), "a child left a status");
}

static volatile sig_atomic_t seen;
static void on_child(int number) { seen = number; }

static void block_sigchld(char **values) {
  sigset_t set, pending;
  int status;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGCHLD, on_child);
  pid_t pid = fork();
  if (pid == 0)
    _exit(3);
  proven(waitpid(pid, &status, 0) == pid && sigpending(&pending) == 0 &&
             sigismember(&pending, SIGCHLD) && seen == 0,
         "SIGCHLD is not blocked");
  signal(SIGCHLD, SIG_DFL);
}

/* ---- Descriptors -------------------------------------------------------- */

static void raise_files(rlim_t count) {
  struct rlimit limit = {count, count};
  char why[100];
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
    return;
  snprintf(why, sizeof why, "RLIMIT_NOFILE of %ju, above the hard limit",
           (uintmax_t)count);
  cannot(why);
}

/* All numbers below this one are in use. */
static void fill_files(char **values) {
  int least = atoi(values[0]), fd = open("/dev/null", O_RDWR);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < (rlim_t)least + 15000)
    raise_files((rlim_t)least + 15000);
  while (fd >= 0 && fd < least)
    fd = dup(fd);
  if (fd < 0)
    cannot("so many descriptors cannot be opened");
  close(fd);
  proven(fcntl(least - 1, F_GETFD) == 0 && (fd = dup(0)) >= least,
         "a new descriptor has a small number");
  close(fd);
}

static void limit_files(char **values) {
  rlim_t count = (rlim_t)atoi(values[0]);
  struct rlimit limit = {count, count};
  int fds[64], last = 0;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
    cannot("RLIMIT_NOFILE cannot be set");
  while (last < 64 && (fds[last] = dup(2)) >= 0)
    last++;
  proven(errno == EMFILE && last < (int)count, "there are more descriptors");
  while (last > 0)
    close(fds[--last]);
}

/* The output of the tests, which find these descriptors closed, has a number
 * that none of them asks for. */
static void close_stdio(char **values) {
  int saved = fcntl(1, F_DUPFD, 700);
  char text[16];
  if (saved < 0)
    cannot("no descriptor for the output");
  snprintf(text, sizeof text, "%d", saved);
  setenv("GIPC_WORLD_OUTPUT", text, 1);
  for (const char *digit = values[0]; *digit != '\0'; digit++)
    close(*digit - '0');
  for (const char *digit = values[0]; *digit != '\0'; digit++)
    proven(fcntl(*digit - '0', F_GETFD) < 0, "a standard stream is open");
}

/* ---- libev -------------------------------------------------------------- */

static void use_backend(char **values) {
  unsigned flags = (unsigned)atoi(values[0]);
  char why[100];
  errno = ENOTSUP;
  if ((ev_supported_backends() & flags) == 0)
    cannot("this libev was built without that backend");
  setenv("LIBEV_FLAGS", values[0], 1);
  pid_t pid = fork();
  int status = -1;
  if (pid == 0) {
    struct ev_loop *loop = ev_default_loop(0);
    _exit(loop == NULL || ev_backend(loop) != flags);
  }
  proven(waitpid(pid, &status, 0) == pid, "no child");
  if (status == 0)
    return;
  snprintf(why, sizeof why, "libev does not use its backend %u here", flags);
  errno = ENOTSUP;
  cannot(why);
}

/* ---- Processes ---------------------------------------------------------- */

/* As a user who has no other process, also where several of these worlds are on
 * a machine.  VALUES: number of processes. */
static void limit_processes(char **values) {
  uid_t user = 1000000000 + (uid_t)getpid();
  int most = atoi(values[0]), count = 0;
  struct rlimit limit = {(rlim_t)most, (rlim_t)most};
  pid_t pids[256];
  if (setrlimit(RLIMIT_NPROC, &limit) < 0 || setgid(user) < 0 ||
      setuid(user) < 0)
    cannot("another user");
  setenv("PATH", "/usr/bin:/bin", 1); /* folders that everyone can search */
  while (count < 256 && (pids[count] = fork()) >= 0) {
    if (pids[count] == 0)
      for (;;)
        pause();
    count++;
  }
  int error = errno;
  for (int i = 0; i < count; i++) {
    kill(pids[i], SIGKILL);
    waitpid(pids[i], NULL, 0);
  }
  proven(error == EAGAIN && count < most, "there are more processes");
}

/* ---- The shim ----------------------------------------------------------- */

/* VALUES: what it does.  The shim counts how often it did. */
static void use_shim(char **values) {
  setenv("GIPC_WORLD", values[0], 1);
  /* The frame that changes to a ring is small: the kernel sends all of it, or
   * nothing. */
  if (strcmp(values[0], "bytes") == 0 || strcmp(values[0], "pieces") == 0)
    setenv("GIPC_TRANSPORT", "plain", 1);
  if (strcmp(values[0], "bytes") == 0)
    setenv("GIPC_TEST_SLOW", "1", 1); /* fewer messages */
}

static const struct action {
  const char *name;
  int values;
  void (*make)(char **values);
} actions[] = {
    {"ignore-sigchld", 0, ignore_sigchld},
    {"block-sigchld", 0, block_sigchld},
    {"fill-files", 1, fill_files},
    {"limit-files", 1, limit_files},
    {"close-stdio", 1, close_stdio},
    {"libev", 1, use_backend},
    {"limit-processes", 1, limit_processes},
    {"shim", 1, use_shim},
    {"refuse", 2, refuse_call},
    {"reuse-pids", 1, reuse_pids},
    {"hide-proc", 0, hide_proc},
    {"foreign-proc", 0, keep_foreign_proc},
};

int main(int argc, char **argv) {
  int at = 1;
  while (at < argc && strcmp(argv[at], "--") != 0) {
    const struct action *found = NULL;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
      if (strcmp(argv[at], actions[i].name) == 0)
        found = &actions[i];
    if (found == NULL || at + found->values >= argc) {
      fprintf(stderr, "%s: no such world\n", argv[at]);
      return 2;
    }
    found->make(argv + at + 1);
    at += 1 + found->values;
  }
  if (at + 1 >= argc)
    return 2;
  if (getenv("GIPC_WORLD_SHIM") != NULL)
    setenv("LD_PRELOAD", getenv("GIPC_WORLD_SHIM"), 1);
  execvp(argv[at + 1], argv + at + 1);
  return 127;
}
