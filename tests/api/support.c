/* Used by every test program; see support.h. */
#include "support.h"
#include "support_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- Checks ------------------------------------------------------------- */

void check_result(long got, long expected, const char *call, const char *file,
                  int line) {
  if (got == expected)
    return;
  print_error("%s\n  is       %ld (%s)\n  expected %ld (%s)\n", call, got,
              got < 0 ? gipc_strerror((int)got) : "success", expected,
              expected < 0 ? gipc_strerror((int)expected) : "success");
  _fail(file, line);
}

static void say(const char *text) {
  ssize_t ignored = write(2, text, strlen(text));
  (void)ignored;
}

void child_check(bool holds, const char *what, const char *file, int line) {
  char text[512];
  if (holds)
    return;
  snprintf(text, sizeof text, "%s:%d: in a child: %s (errno %d)\n", file, line,
           what, errno);
  say(text);
  _exit(1);
}

/* ---- Setup and teardown ---------------------------------------------------
 */

static int fds_before;

static void too_late(int signal_number) {
  (void)signal_number;
  say("deadline of the test has expired\n");
  signal(SIGABRT, SIG_DFL);
  abort();
}

void deadline(unsigned seconds) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = too_late;
  sigaction(SIGALRM, &action, NULL);
  alarm(seconds);
}

int test_setup(void **state) {
  (void)state;
  deadline(slow() ? 900 : 300);
  fds_before = count_fds();
  return 0;
}

int test_end(void **state) {
  int fds = count_fds(), status;
  bool clean = true;
  pid_t pid;
  (void)state;
  alarm(0);
  if (fds != fds_before) {
    print_error("descriptors: %d before, %d after\n", fds_before, fds);
    clean = false;
  }
  if (has_children()) {
    print_error("a child is left behind, %d zombies\n", count_zombies());
    clean = false;
    /* The next test starts without a deadline. */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
      ;
  }
  return clean ? 0 : -1;
}

int count_fds(void) {
  DIR *directory = opendir("/proc/self/fd");
  struct dirent *entry;
  int count = -1; /* the directory itself */
  if (directory == NULL)
    return -1;
  while ((entry = readdir(directory)) != NULL)
    if (entry->d_name[0] != '.')
      count++;
  closedir(directory);
  return count;
}

int has_children(void) {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ||
         errno != ECHILD;
}

int count_zombies(void) {
  DIR *directory = opendir("/proc");
  struct dirent *entry;
  int count = 0;
  if (directory == NULL)
    return -1;
  while ((entry = readdir(directory)) != NULL) {
    char path[300], line[512], state, *end;
    int parent;
    FILE *file;
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
      continue;
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    if ((file = fopen(path, "re")) == NULL)
      continue;
    if (fgets(line, sizeof line, file) != NULL &&
        (end = strrchr(line, ')')) != NULL &&
        sscanf(end + 1, " %c %d", &state, &parent) == 2 && state == 'Z' &&
        parent == (int)getpid())
      count++;
    fclose(file);
  }
  closedir(directory);
  return count;
}

void skip_because(const char *why) {
  print_message("skipped: %s\n", why);
  skip();
}

pid_t raw_fork(void) {
  long arguments[2] = {0};
  arguments[clone_flags] = SIGCHLD;
  return (pid_t)syscall(SYS_clone, arguments[0], arguments[1], 0L, 0L, 0L);
}

bool is_limited_by(const char *limit) {
  const char *seen = getenv("GIPC_TEST_LIMITS");
  return seen != NULL && strstr(seen, limit) != NULL;
}

static void skip_named(void **state) { skip_because(*state); }

/* The test, or one that skips it. */
static struct CMUnitTest unless_skipped(struct CMUnitTest test, FILE *skips) {
  char line[1024];
  rewind(skips);
  while (fgets(line, sizeof line, skips) != NULL) {
    char *tab = strchr(line, '\t');
    if (tab == NULL)
      continue;
    *tab = '\0';
    tab[strcspn(tab + 1, "\n") + 1] = '\0';
    if (strcmp(line, test.name) == 0)
      return (struct CMUnitTest){test.name, skip_named, NULL, NULL,
                                 strdup(tab + 1)};
  }
  return test;
}

int run_group(const char *name, const struct CMUnitTest *tests, size_t count,
              CMFixtureFunction setup, CMFixtureFunction teardown) {
  const char *path = getenv("GIPC_TEST_SKIPS");
  FILE *skips = path != NULL ? fopen(path, "re") : NULL;
  struct CMUnitTest *own = calloc(count, sizeof *own);
  for (size_t i = 0; i < count; i++)
    own[i] = skips != NULL ? unless_skipped(tests[i], skips) : tests[i];
  if (skips != NULL)
    fclose(skips);
  int result = _cmocka_run_group_tests(name, own, count, setup, teardown);
  free(own);
  return result;
}

/* TEST_FILTER=pattern runs only some tests of a program. */
__attribute__((constructor)) static void filter(void) {
  if (getenv("TEST_FILTER") != NULL)
    cmocka_set_test_filter(getenv("TEST_FILTER"));
}

/* ---- Environment ----------------------------------------------------------
 */

bool slow(void) {
  const char *value = getenv("GIPC_TEST_SLOW");
  return value != NULL && *value != '\0' && strcmp(value, "0") != 0;
}

size_t many(size_t all, size_t few) { return slow() ? few : all; }

size_t resident(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  unsigned long size = 0, pages = 0;
  if (file == NULL)
    return 0;
  if (fscanf(file, "%lu %lu", &size, &pages) != 2)
    pages = 0;
  fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- Waiting ----------------------------------------------------------------
 */

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool wait_fd(int fd, short events, int milliseconds) {
  double end = now() + milliseconds / 1e3;
  for (;;) {
    struct pollfd one = {fd, events, 0};
    double left = (end - now()) * 1e3;
    int result = poll(&one, 1, left > 0 ? (int)left + 1 : 0);
    if (result > 0)
      return true;
    if (result == 0 || errno != EINTR)
      return false;
  }
}

/* ---- Children -------------------------------------------------------------
 */

pid_t child_start(int (*body)(void *argument), void *argument) {
  pid_t pid = fork();
  if (pid == 0) {
    alarm(slow() ? 900 : 300);
    _exit(body(argument));
  }
  assert_true(pid > 0);
  return pid;
}

void child_join(pid_t pid) {
  int status = -1;
  pid_t result;
  do
    result = waitpid(pid, &status, 0);
  while (result < 0 && errno == EINTR);
  assert_int_equal(result, pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    print_error("child: wait status %#x\n", (unsigned)status);
  assert_int_equal(status, 0);
}

/* ---- Bytes ----------------------------------------------------------------
 */

uint64_t random_next(uint64_t *seed) {
  uint64_t x = *seed != 0 ? *seed : 88172645463325252u;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *seed = x;
  return x * 2685821657736338717u;
}

static unsigned char byte_at(uint64_t seed, size_t place) {
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u + place * 0xff51afd7ed558ccdu;
  return (unsigned char)(x >> 56 ^ x >> 29);
}

void fill(void *data, size_t size, uint64_t seed) {
  unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++)
    bytes[i] = byte_at(seed, i);
}

bool filled(const void *data, size_t size, uint64_t seed) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != byte_at(seed, i))
      return false;
  return true;
}

uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
  const unsigned char *bytes = data;
  if (hash == 0)
    hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

bool write_all(int fd, const void *data, size_t size) {
  const char *bytes = data;
  while (size > 0) {
    ssize_t done = write(fd, bytes, size);
    if (done < 0 && errno == EAGAIN && wait_fd(fd, POLLOUT, 60000))
      continue;
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    bytes += done;
    size -= (size_t)done;
  }
  return true;
}

bool read_all(int fd, void *data, size_t size) {
  char *bytes = data;
  while (size > 0) {
    ssize_t done = read(fd, bytes, size);
    if (done < 0 && errno == EAGAIN && wait_fd(fd, POLLIN, 60000))
      continue;
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    bytes += done;
    size -= (size_t)done;
  }
  return true;
}
