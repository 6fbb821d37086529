/* Used by the tests of processes; see support_process.h. */
#include "support_process.h"
#include "support_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static pid_t test_pid;

__attribute__((constructor)) static void remember(void) { test_pid = getpid(); }

void check_at(bool holds, const char *what, const char *file, int line) {
  if (holds)
    return;
  if (getpid() != test_pid)
    child_check(false, what, file, line);
  print_error("%s (errno %d)\n", what, errno);
  if (gettid() != test_pid) {
    fprintf(stderr, "%s:%d: in a thread: %s\n", file, line, what);
    abort();
  }
  _fail(file, line);
}

void check_is_at(long got, long expected, const char *what, const char *file,
                 int line) {
  char text[400];
  if (got == expected)
    return;
  snprintf(text, sizeof text, "%s is %ld, expected %ld", what, got, expected);
  check_at(false, text, file, line);
}

/* ---- Starting and ending ------------------------------------------------ */

gipc_options *new_options(void) {
  gipc_options *o = NULL;
  CHECK_OK(gipc_options_new(&o));
  return o;
}

gipc_process *start(target_function target, void *argument,
                    const gipc_options *o) {
  gipc_process *p = NULL;
  CHECK_OK(gipc_start_process(target, argument, o, &p));
  CHECK(p != NULL);
  return p;
}

gipc_process *execute(const gipc_options *o, const char *program, ...) {
  const char *argv[16] = {program};
  gipc_process *p = NULL;
  va_list arguments;
  va_start(arguments, program);
  for (int i = 1; i < 15; i++)
    if ((argv[i] = va_arg(arguments, const char *)) == NULL)
      break;
  va_end(arguments);
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK(p != NULL);
  return p;
}

int end_of(gipc_process *p) {
  int code = 12345;
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_OK(gipc_process_exitcode(p, &code));
  gipc_process_free(p);
  return code;
}

gipc_exit_info info_of(gipc_process *p) {
  gipc_exit_info info = {.size = sizeof info};
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_OK(gipc_process_info(p, &info));
  return info;
}

int in_child(target_function target, void *argument, const gipc_options *o) {
  return end_of(start(target, argument, o));
}

gipc_template *new_template(const gipc_options *o) {
  gipc_template *t = NULL;
  bool none = portable() || is_limited_by("clone_parent");
  if (none || under_valgrind()) {
    CHECK_IS(none ? gipc_template_new(o, &t) : -EOPNOTSUPP, -EOPNOTSUPP);
    skip_because("there are no templates here");
  }
#ifdef __SANITIZE_THREAD__
  skip_because("TSan has a thread of its own in the template");
#endif
  CHECK_OK(gipc_template_new(o, &t));
  return t;
}

gipc_process *start_from(gipc_template *t, target_function target,
                         const void *argument, size_t size,
                         const gipc_options *o) {
  gipc_process *p = NULL;
  CHECK_OK(gipc_template_start(t, target, argument, size, o, &p));
  CHECK(p != NULL);
  return p;
}

int run_from(gipc_template *t, target_function target, const void *argument,
             size_t size, const gipc_options *o) {
  return end_of(start_from(t, target, argument, size, o));
}

void in_own_fork(int (*body)(void *argument), void *argument) {
  fflush(NULL);
  pid_t pid = child_start(body, argument);
  int status = -1;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  CHECK_IS(status, 0);
}

void destroy(gipc_process *p) {
  int result = gipc_process_kill(p);
  CHECK(result == 0 || result == GIPC_EDEAD);
  CHECK_OK(gipc_process_join(p, -1));
  gipc_process_free(p);
}

char state_of(pid_t pid) {
  char path[64], text[512], *end;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 'X';
  read_text(fd, text, sizeof text);
  end = strrchr(text, ')');
  return end != NULL ? end[2] : 'X';
}

bool gone_within(pid_t pid, double seconds) {
  double end = now() + seconds;
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd >= 0) {
    bool gone = wait_fd(fd, POLLIN, (int)(seconds * 1e3));
    close(fd);
    return gone;
  }
  /* Valgrind does not support pidfds. */
  while (state_of(pid) != 'Z' && state_of(pid) != 'X') {
    if (now() >= end)
      return false;
    sched_yield();
  }
  return true;
}

/* ---- Targets ------------------------------------------------------------ */

int return_argument(struct ev_loop *fresh, void *argument) {
  return (int)(intptr_t)argument;
}

int wait_for_signal(struct ev_loop *fresh, void *argument) {
  for (;;)
    pause();
}

/* ---- Looking ------------------------------------------------------------ */

size_t read_text(int fd, char *text, size_t size) {
  size_t length = 0;
  for (;;) {
    char excess[4096];
    bool full = length + 1 >= size;
    ssize_t got = full ? read(fd, excess, sizeof excess)
                       : read(fd, text + length, size - 1 - length);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      break;
    if (!full)
      length += (size_t)got;
  }
  text[length] = '\0';
  close(fd);
  return length;
}

int output_of(gipc_options *o, const char *const argv[], char *text,
              size_t size) {
  gipc_options *own = o == NULL ? new_options() : NULL;
  gipc_process *p = NULL;
  if (o == NULL)
    o = own;
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
  CHECK_OK(gipc_exec_process(argv, o, &p));
  gipc_options_free(own);
  int fd = gipc_process_stdio(p, 1);
  CHECK(fd > 2);
  read_text(fd, text, size);
  return end_of(p);
}

size_t read_file(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  return read_text(fd, text, size);
}

static int by_number(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

int list_fds(int *fds, int max) {
  DIR *directory = opendir("/proc/self/fd");
  struct dirent *entry;
  int count = 0;
  CHECK(directory != NULL);
  while ((entry = readdir(directory)) != NULL && count < max)
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory))
      fds[count++] = atoi(entry->d_name);
  closedir(directory);
  qsort(fds, (size_t)count, sizeof *fds, by_number);
  return count;
}

uint64_t signal_field(const char *field) {
  char text[8192], *at;
  read_file("/proc/self/status", text, sizeof text);
  at = strstr(text, field);
  CHECK(at != NULL);
  return strtoull(at + strlen(field) + 1, NULL, 16);
}

static char folder[64];

static void remove_scratch(void) {
  char path[400];
  DIR *directory;
  struct dirent *entry;
  if (getpid() != test_pid || (directory = opendir(folder)) == NULL)
    return;
  while ((entry = readdir(directory)) != NULL) {
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    (void)(unlink(path) == 0 || rmdir(path) == 0);
  }
  closedir(directory);
  rmdir(folder);
}

const char *scratch(const char *name, char path[128]) {
  if (folder[0] == '\0') {
    strcpy(folder, "/tmp/gipc-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    CHECK_OK(chmod(folder, 0755));
    atexit(remove_scratch);
  }
  snprintf(path, 128, "%s/%s", folder, name);
  return path;
}

bool under_valgrind(void) {
  const char *preload = getenv("LD_PRELOAD");
  return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

void not_under_valgrind(void) {
  if (under_valgrind())
    skip_because("valgrind does this itself, not the kernel");
}

bool portable(void) {
  const char *os = getenv("GIPC_TEST_OS");
  return os != NULL && strcmp(os, "posix") == 0;
}

/* ---- Kernels that lack something ---------------------------------------- */

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (what))
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define IF(test, value) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 0, 1)

/* Programs of another machine, such as sh of a 64-bit system, have other
 * numbers of calls: only the calls of this one's are refused. */
#if defined __i386__
enum { own_machine = AUDIT_ARCH_I386 };
#elif defined __arm__
enum { own_machine = AUDIT_ARCH_ARM };
#endif

static bool install(struct sock_filter *code, size_t count) {
  struct sock_filter all[16] = {{0}};
  size_t first = 0;
#if defined __i386__ || defined __arm__
  all[first++] = (struct sock_filter)LOAD(offsetof(struct seccomp_data, arch));
  all[first++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                              (uint32_t)own_machine, 1, 0);
  all[first++] = (struct sock_filter)ALLOW;
#endif
  memcpy(all + first, code, count * sizeof *code);
  struct sock_fprog program = {(unsigned short)(first + count), all};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool fail_call(long number, int error) {
  struct sock_filter code[] = {
      LOAD(offsetof(struct seccomp_data, nr)),
      IF(BPF_JEQ, (uint32_t)number),
      REFUSE((uint32_t)error),
      ALLOW,
  };
  return install(code, 4);
}

static bool fail_where(long number, int argument, int test, uint32_t value,
                       int error) {
  struct sock_filter code[] = {
      LOAD(offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
      LOAD(lower_half(argument)),
      IF(test, value),
      REFUSE((uint32_t)error),
      ALLOW,
  };
  code[3].k = value;
  return install(code, 6);
}

bool fail_call_with(long number, int argument, uint32_t value, int error) {
  return fail_where(number, argument, BPF_JEQ, value, error);
}

bool fail_call_with_bits(long number, int argument, uint32_t bits, int error) {
  return fail_where(number, argument, BPF_JSET, bits, error);
}

bool make_madvise_lie(void) {
  return is_limited_by("dontfork") || fail_call(SYS_madvise, 0);
}

bool fail_pidfd_info(void) {
  /* _IOWR(0xFF, 11, 64 bytes) */
  return fail_call_with(SYS_ioctl, 1, 0xc040ff0bu, ENOTTY);
}
