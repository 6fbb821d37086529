/* Worlds that the kernel makes: refused calls, reused process IDs, no /proc. */
#define _GNU_SOURCE
#include "enter.h"

#include "../api/support_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Refused calls ------------------------------------------------------ */

enum { pidfd_get_info = 0xff0b }; /* all but the size */

static int call_pidfd_info(void) {
  char info[64] = {0};
  int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  /* _IOWR(0xFF, 11, 64 bytes) */
  int result = (int)syscall(SYS_ioctl, fd, 0xc040ff0bu, info);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static int call_clone3(void) {
  struct clone_args arguments = {.exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0)
    _exit(0);
  if (pid > 0)
    waitpid((pid_t)pid, NULL, 0);
  return (int)pid;
}

static int call_pidfd_clone(void) {
  int fd = -1;
  long first[2] = {0};
  first[clone_flags] = CLONE_PIDFD | SIGCHLD;
  long pid = syscall(SYS_clone, first[0], first[1], &fd, 0L, 0L);
  if (pid == 0)
    _exit(0);
  if (pid > 0) {
    close(fd);
    waitpid((pid_t)pid, NULL, 0);
  }
  return (int)pid;
}

static int call_pidfd_open(void) {
  int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (fd >= 0)
    close(fd);
  return fd;
}

static int call_memfd(void) {
  int fd = (int)syscall(SYS_memfd_create, "world", 1u);
  if (fd >= 0)
    close(fd);
  return fd;
}

static int call_close_range(void) {
  return (int)syscall(SYS_close_range, 1u << 30, 1u << 30, 0u);
}

static int call_preadv2(void) {
  char byte;
  struct iovec part = {&byte, 1};
  int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  int result = (int)syscall(SYS_preadv2, fd, &part, 1, -1L, -1L, 0);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static int call_pidfd_signal(void) {
  int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  int result = (int)syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

/* Where an argument has these bits, if any are named. */
static const struct refused {
  const char *name;
  long number;
  int argument;
  uint32_t bits;
  int (*call)(void);
} calls[] = {
    {"pidfd_open", SYS_pidfd_open, 0, 0, call_pidfd_open},
    {"pidfd_send_signal", SYS_pidfd_send_signal, 0, 0, call_pidfd_signal},
    {"clone3", SYS_clone3, 0, 0, call_clone3},
    {"clone_pidfd", SYS_clone, clone_flags, CLONE_PIDFD, call_pidfd_clone},
    {"close_range", SYS_close_range, 0, 0, call_close_range},
    {"pidfd_get_info", SYS_ioctl, 1, pidfd_get_info, call_pidfd_info},
    {"memfd_create", SYS_memfd_create, 0, 0, call_memfd},
    {"preadv2", SYS_preadv2, 0, 0, call_preadv2},
};

static const struct {
  const char *name;
  int number;
} errors[] = {{"ENOSYS", ENOSYS}, {"EPERM", EPERM}, {"EMFILE", EMFILE}};

static void install(const struct refused *refused, int error) {
  /* Where no bits are named, all arguments have them. */
  uint32_t bits = refused->bits;
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused->number, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, lower_half(refused->argument)),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  /* Root needs no PR_SET_NO_NEW_PRIVS, which would be inherited. */
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
    return;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
    cannot("seccomp");
}

void refuse_call(char **values) {
  const struct refused *refused = NULL;
  int error = 0;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (strcmp(values[0], calls[i].name) == 0)
      refused = &calls[i];
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(values[1], errors[i].name) == 0)
      error = errors[i].number;
  errno = EINVAL;
  if (refused == NULL || error == 0)
    cannot("no such call or error");
  if (refused->call() < 0)
    cannot("this kernel has no such call");
  install(refused, error);
  proven(refused->call() < 0 && errno == error, "the call is not refused");
}

/* ---- Process IDs that are reused ---------------------------------------- */

static void write_number(const char *path, const char *number) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, number, strlen(number)) < 0)
    cannot(path);
  close(fd);
}

/* The first process of the namespace: ends with its child, and reaps all. */
static void serve(pid_t child) {
  int status, result = 1;
  pid_t pid;
  while ((pid = wait(&status)) > 0 || errno == EINTR)
    if (pid == child) {
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
  _exit(result); /* which kills what is left */
}

static bool ids_come_again(int most) {
  pid_t pid, above = 0;
  for (int i = 0; i <= most; i++) {
    if ((pid = fork()) == 0)
      _exit(0);
    waitpid(pid, NULL, 0);
    if (pid < above)
      return true;
    above = pid;
  }
  return false;
}

/* Before Linux 6.14 this number is that of the whole system. */
static bool has_own_numbers(void) {
  struct utsname name;
  int major = 0, minor = 0;
  uname(&name);
  (void)!sscanf(name.release, "%d.%d", &major, &minor);
  return major > 6 || (major == 6 && minor >= 14);
}

/* Goes on in a new namespace, as a process that is not its first. */
static void enter_namespace(void) {
  if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
    cannot("no namespace of process IDs");
  for (int i = 0; i < 2; i++) {
    pid_t child = fork();
    if (child < 0)
      cannot("no child in the namespace");
    if (child > 0 && i == 0) { /* outside */
      int status = 1;
      while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
      exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (child > 0)
      serve(child);
  }
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    cannot("no mounts of its own");
}

void reuse_pids(char **values) {
  errno = ENOTSUP;
  if (!has_own_numbers())
    cannot("pid_max of a namespace");
  enter_namespace();
  if (mount("proc", "/proc", "proc", 0, NULL) < 0)
    cannot("/proc cannot be mounted");
  write_number("/proc/sys/kernel/pid_max", values[0]);
  proven(ids_come_again(atoi(values[0])), "no process ID is reused");
}

/* /proc has the numbers of the namespace outside. */
void keep_foreign_proc(char **values) {
  char number[32] = "";
  enter_namespace();
  (void)!readlink("/proc/self", number, sizeof number - 1);
  proven(atoi(number) != getpid(), "/proc has the numbers of this namespace");
}

/* ---- No /proc ----------------------------------------------------------- */

void hide_proc(char **values) {
  if (unshare(CLONE_NEWNS) < 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      umount2("/proc", MNT_DETACH) < 0)
    cannot("/proc cannot be taken away");
  proven(access("/proc/self", F_OK) < 0 && errno == ENOENT, "/proc is there");
}
