/* The last lines that a worker wrote to its stderr, where that is a pipe. */
#include "support_workers.h"

#include <poll.h>
#include <sys/resource.h>

/* ---- Workers ------------------------------------------------------------- */

enum { LOT = 105000000 }; /* bytes, of whole lines */

/* Numbered lines of 15 bytes, of which no buffer has a whole number; the
 * numbers repeat. */
enum { LINE = 15, NUMBERS = 4000 };

static void write_lines(size_t left) {
  static char lines[NUMBERS * LINE + 1];
  for (int i = 0; i < NUMBERS; i++)
    sprintf(lines + i * LINE, "line%010d\n", i);
  for (size_t size; left > 0; left -= size) {
    size = left < NUMBERS * LINE ? left : NUMBERS * LINE;
    CHECK(write(2, lines, size) == (ssize_t)size);
  }
}

/* A process that keeps stderr open until nobody reads that any more. */
static void leave_one_behind(const char *path) {
  struct pollfd errors = {2, 0, 0};
  if (fork() != 0)
    return;
  while (poll(&errors, 1, -1) != 1)
    continue;
  fclose(fopen(path, "w"));
  _exit(0);
}

/* d...  writes what follows, and exits with 3
 * lN    writes N bytes of lines, and answers; L does not answer
 * h...  writes to stderr, makes the file that follows, and hangs
 * c     leaves a process behind, that makes the file that follows */
static int command(const gipc_worker_message *task, gipc_worker_message *answer,
                   void *handle) {
  char text[200];
  int size = (int)task->data_size - 1;
  const char *kind = task->data;
  snprintf(text, sizeof text, "%.*s", size, kind + 1);
  switch (*kind) {
  case 'd':
    CHECK(write(2, kind + 1, (size_t)size) == size);
    _exit(3);
  case 'l':
    write_lines((size_t)atol(text));
    return 0;
  case 'L':
    write_lines((size_t)atol(text));
    _exit(4);
  case 'h':
    CHECK(write(2, "hanging\n", 8) == 8);
    fclose(fopen(text, "w"));
    for (;;)
      pause();
  default:
    CHECK(write(2, "left\n", 5) == 5);
    leave_one_behind(text);
    _exit(5);
  }
}

static int serve(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  return gipc_worker_serve(handle, command, handle) == 0 ? 0 : 1;
}

/* ---- The pool ------------------------------------------------------------ */

static struct {
  char result[5000], change[5000];
  size_t result_size, change_size;
} lines;

static size_t copy_text(char *to, gipc_text text) {
  CHECK(text.size <= 4096);
  if (text.size > 0)
    memcpy(to, text.data, text.size);
  to[text.size] = '\0';
  return text.size;
}

static void note_result(gipc_pool *pool, const gipc_result *result) {
  lines.result_size = copy_text(lines.result, result->last_lines);
}

static void note_change(gipc_pool *pool, const gipc_worker_change *change) {
  if (change->state == GIPC_WORKER_OFF)
    lines.change_size = copy_text(lines.change, change->last_lines);
}

static gipc_pool *pool_with_stderr(int mode) {
  gipc_rules rules = {.size = sizeof rules, .most = 1};
  gipc_options *o = new_options();
  gipc_pool *pool = NULL;
  CHECK_OK(gipc_options_set_stdio(o, 2, mode, -1));
  CHECK_OK(gipc_pool_new(serve, NULL, &rules, o, &pool));
  gipc_options_free(o);
  start_pool(pool);
  got.on_result = note_result;
  got.on_worker = note_change;
  memset(&lines, 0, sizeof lines);
  return pool;
}

/* ---- Tests --------------------------------------------------------------- */

static void the_last_lines_come_with_the_death(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  CHECK_IS(do_task(pool, "dfirst\nlast\n"), GIPC_WHY_DIED);
  CHECK(strcmp(lines.result, "first\nlast\n") == 0);
  CHECK(strcmp(lines.change, "first\nlast\n") == 0);
  CHECK_IS(do_task(pool, "d"), GIPC_WHY_DIED); /* another worker */
  CHECK_IS((long)lines.result_size, 0);
  CHECK_IS(do_task(pool, "dno end of line"), GIPC_WHY_DIED);
  CHECK(strcmp(lines.result, "no end of line") == 0);
  end_pool(pool);
}

static void check_numbered_lines(long bytes) {
  char last[24];
  sprintf(last, "line%010ld\n", (bytes / LINE - 1) % NUMBERS);
  CHECK(lines.result_size >= 4096 - LINE && lines.result_size % LINE == 0);
  CHECK(strncmp(lines.result, "line", 4) == 0);
  CHECK(strcmp(lines.result + lines.result_size - LINE, last) == 0);
}

static void what_fills_the_pipe_is_read_to_its_end(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  CHECK_IS(do_task(pool, "L4095"), GIPC_WHY_DIED);
  CHECK_IS((long)lines.result_size, 4095);
  for (int i = 0; i < 10; i++) {
    CHECK_IS(do_task(pool, "L65520"), GIPC_WHY_DIED);
    check_numbered_lines(65520);
  }
  end_pool(pool);
}

static void a_line_that_is_too_long_is_cut(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  char task[5001] = "d";
  memset(task + 1, 'x', 4998);
  task[4999] = '\n';
  CHECK_IS(do_task(pool, task), GIPC_WHY_DIED);
  CHECK_IS((long)lines.result_size, 4096);
  CHECK(lines.result[0] == 'x' && lines.result[4095] == '\n');
  end_pool(pool);
}

static long peak_memory(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

static void a_worker_that_writes_a_lot_is_not_blocked(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  char task[32];
  long before = peak_memory();
  sprintf(task, "l%d", LOT);
  CHECK_IS(do_task(pool, task), GIPC_WHY_DONE);
  CHECK_IS((long)lines.result_size, 0); /* its worker has not ended */
  CHECK(peak_memory() - before < 8 << 10);
  sprintf(task, "L%d", LOT / 20);
  CHECK_IS(do_task(pool, task), GIPC_WHY_DIED);
  check_numbered_lines(LOT / 20);
  end_pool(pool);
}

static void a_cancelled_task_has_them(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  char path[128], task[140];
  sprintf(task, "h%s", scratch("hangs", path));
  uint64_t running = put(pool, task);
  while (access(path, F_OK) != 0)
    ev_run(got.loop, EVRUN_NOWAIT);
  CHECK_OK(gipc_pool_cancel(pool, running));
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_CANCELLED);
  CHECK(strcmp(lines.result, "hanging\n") == 0);
  CHECK_OK(remove(path));
  end_pool(pool);
}

/* And the pipe is closed, which ends what was left behind here. */
static void a_process_that_was_left_behind_delays_nothing(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  char path[128], task[140];
  sprintf(task, "c%s", scratch("left", path));
  CHECK_IS(do_task(pool, task), GIPC_WHY_DIED);
  CHECK(strcmp(lines.result, "left\n") == 0);
  while (access(path, F_OK) != 0)
    usleep(1000);
  CHECK_OK(remove(path));
  end_pool(pool);
}

static void there_are_none_without_a_pipe(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_NULL);
  CHECK_IS(do_task(pool, "dtext"), GIPC_WHY_DIED);
  CHECK(lines.result_size == 0 && lines.change_size == 0);
  end_pool(pool);
}

static void a_program_that_cannot_start_says_why(void **state) {
  const char *const argv[] = {"/bin/sh", "-c", "echo no such thing >&2; exit 5",
                              NULL};
  gipc_rules rules = {.size = sizeof rules, .most = 1, .prepare_failures = 1};
  gipc_options *o = new_options();
  gipc_pool *pool = NULL;
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_pool_exec(argv, &rules, o, &pool));
  gipc_options_free(o);
  start_pool(pool);
  got.on_worker = note_change;
  put(pool, "e");
  ev_run(got.loop, 0);
  CHECK_IS(got.end_why, GIPC_WHY_GAVE_UP);
  CHECK(strcmp(lines.change, "no such thing\n") == 0);
  drop_pool(pool);
}

/* In a process that the program forked, none of it is touched. */
static void a_fork_of_the_program_frees_it(void **state) {
  gipc_pool *pool = pool_with_stderr(GIPC_STDIO_PIPE);
  CHECK_IS(do_task(pool, "l15"), GIPC_WHY_DONE);
  pid_t pid = fork();
  if (pid == 0) {
    gipc_pool_free(pool);
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK_IS(do_task(pool, "d, still read"), GIPC_WHY_DIED);
  CHECK(strcmp(lines.result, "line0000000000\n, still read") == 0);
  end_pool(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_last_lines_come_with_the_death),
      TEST(what_fills_the_pipe_is_read_to_its_end),
      TEST(a_line_that_is_too_long_is_cut),
      TEST(a_worker_that_writes_a_lot_is_not_blocked),
      TEST(a_cancelled_task_has_them),
      TEST(a_process_that_was_left_behind_delays_nothing),
      TEST(there_are_none_without_a_pipe),
      TEST(a_program_that_cannot_start_says_why),
      TEST(a_fork_of_the_program_frees_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
