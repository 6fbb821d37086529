/* Tasks of a pool with descriptors: they come with their task each time that it
 * is carried out, and are closed when it is over, however that came. */
#include "support_fds.h"
#include "support_workers.h"

#include <fcntl.h>
#include <sys/resource.h>

/* ---- Workers ------------------------------------------------------------- */

/* No more descriptors can be had, or as many as before. */
static int set_room(bool has_room) {
  static int last;
  static struct rlimit old;
  struct rlimit full;
  if (has_room) {
    close(last);
    return setrlimit(RLIMIT_NOFILE, &old);
  }
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
  last = fcntl(0, F_DUPFD_CLOEXEC, 3); /* all below are in use */
  full = old;
  full.rlim_cur = (rlim_t)last + 1;
  return setrlimit(RLIMIT_NOFILE, &full);
}

/* Commands, the first byte of a task:
 *   tN    takes the descriptors, N of them, and answers with their number
 *   kN    the same, and kills itself before it answers the first time
 *   l     leaves them                w     leaves them, and waits indefinitely
 *   n     has no room for more       y     has room again */
static int command(const gipc_worker_message *task, gipc_worker_message *answer,
                   void *handle) {
  static uint32_t numbers[GIPC_MOST_FDS];
  int fds[GIPC_MOST_FDS], count = 0;
  switch (((const char *)task->data)[0]) {
  case 't':
  case 'k':
    count = gipc_take_fds(handle, fds, GIPC_MOST_FDS);
    if (count < 0)
      return count;
    if (((const char *)task->data)[0] == 'k' && task->attempt == 1)
      (void)raise(SIGKILL);
    CHECK_IS(gipc_take_fds(handle, fds + count, GIPC_MOST_FDS), 0);
    for (int i = 0; i < count; i++) {
      CHECK_IS(pread(fds[i], &numbers[i], sizeof *numbers, 0), sizeof *numbers);
      CHECK(is_fd(fds[i], numbers[i]));
      close(fds[i]);
    }
    answer->data = numbers;
    answer->data_size = (size_t)count * sizeof *numbers;
    return 0;
  case 'l':
    return 0;
  case 'w':
    for (;;)
      pause();
  default:
    return set_room(((const char *)task->data)[0] == 'y');
  }
}

static int serve(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  return gipc_worker_serve(handle, command, handle) == 0 ? 0 : 1;
}

static gipc_pool *fds_pool(const char *rules) {
  need_descriptors();
  gipc_pool *pool = pool_of(serve, NULL, rules);
  start_pool(pool);
  return pool;
}

/* ---- Tasks --------------------------------------------------------------- */

static uint64_t put_fd(gipc_pool *pool, const char *text, int fd,
                       const gipc_task_rules *rules) {
  uint64_t task = 0;
  CHECK_OK(
      gipc_pool_try_put_with(pool, text, strlen(text), &fd, 1, rules, &task));
  return task;
}

/* The same with one end of a pipe, which is closed here: the other end. */
static int put_watched(gipc_pool *pool, const char *text,
                       const gipc_task_rules *rules) {
  int fd, watched = make_watched(&fd);
  put_fd(pool, text, fd, rules);
  close(fd);
  CHECK(!is_gone(watched));
  return watched;
}

/* The last task answered with this number first, in the order of this machine.
 */
static void expect_number(uint32_t number) {
  CHECK_IS(got.last.why, GIPC_WHY_DONE);
  CHECK(got.last.data_size >= sizeof number);
  CHECK(memcmp(got.data, &number, sizeof number) == 0);
}

static void expect_gone(int watched) {
  CHECK(is_gone(watched));
  close(watched);
}

static void descriptors_come_with_their_task(void **state) {
  gipc_pool *pool = fds_pool("most=1");
  CHECK_IS(do_task(pool, "t"), GIPC_WHY_DONE);
  int before = count_fds();
  for (uint32_t i = 1; i < 60; i++) {
    int fds[3];
    uint64_t task;
    for (int n = 0; n < 3; n++)
      fds[n] = make_fd(i + (uint32_t)n);
    CHECK_OK(gipc_pool_try_put_with(pool, "t", 1, fds, i % 4, NULL, &task));
    for (int n = 0; n < 3; n++)
      close(fds[n]);
    run_until(i + 1);
    CHECK_IS(got.last.why, GIPC_WHY_DONE);
    CHECK_IS((long)got.last.data_size, (long)(i % 4 * 4));
    if (i % 4 > 0)
      expect_number(i);
  }
  CHECK_IS((long)got.started, 1);
  CHECK(count_fds() <= before + 1); /* that of a ring */
  end_pool(pool);
}

static void those_not_taken_are_closed_after_the_task(void **state) {
  gipc_pool *pool = fds_pool("most=1");
  int watched = put_watched(pool, "l", NULL);
  run_until(1);
  expect_gone(watched); /* the worker waits for its next task */
  end_pool(pool);
}

static void a_task_that_is_carried_out_again_gets_them_again(void **state) {
  gipc_task_rules again = {.size = sizeof again, .retries = 2};
  gipc_pool *pool = fds_pool("most=1");
  int fd = make_fd(7);
  put_fd(pool, "k", fd, &again);
  close(fd);
  run_until(1);
  expect_number(7);
  CHECK_IS(got.last.attempt, 2);
  int watched = put_watched(pool, "l", &again);
  run_until(2);
  expect_gone(watched); /* though it could have been carried out again */
  end_pool(pool);
}

static void a_worker_that_dies_with_them_loses_nothing_else(void **state) {
  gipc_pool *pool = fds_pool("most=1");
  int watched = put_watched(pool, "k", NULL);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_DIED);
  expect_gone(watched);
  int fd = make_fd(8);
  put_fd(pool, "t", fd, NULL);
  close(fd);
  run_until(2);
  expect_number(8);
  end_pool(pool);
}

/* Those that wait are in no worker that is started meanwhile. */
static void a_cancelled_task_closes_them(void **state) {
  need_descriptors();
  gipc_pool *pool = pool_of(serve, NULL, "most=1");
  int fd, watched = make_watched(&fd);
  uint64_t runs = put(pool, "w");
  uint64_t waits = put_fd(pool, "l", fd, NULL);
  close(fd);
  start_pool(pool);
  while (got.ready == 0)
    ev_run(got.loop, EVRUN_ONCE);
  CHECK(!is_gone(watched));
  CHECK_OK(gipc_pool_cancel(pool, waits));
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_CANCELLED);
  expect_gone(watched);
  CHECK_OK(gipc_pool_cancel(pool, runs));
  run_until(2);
  watched = put_watched(pool, "w", NULL);
  while (got.ready == 1)
    ev_run(got.loop, EVRUN_ONCE);
  CHECK(!is_gone(watched)); /* the worker has it */
  CHECK_OK(gipc_pool_stop(pool, 0));
  end_pool(pool);
  CHECK_IS(got.last.why, GIPC_WHY_STOPPED);
  expect_gone(watched);
}

static void a_pool_that_is_freed_closes_them(void **state) {
  gipc_pool *pool = pool_of(serve, NULL, "most=1");
  int watched = put_watched(pool, "l", NULL);
  gipc_pool_free(pool);
  expect_gone(watched);
}

/* ---- Refused ------------------------------------------------------------- */

static void a_put_that_is_refused_keeps_none(void **state) {
  gipc_pool *pool = pool_of(serve, NULL, "most=1 queue_limit=1");
  int fds[] = {0, 999}, before = count_fds();
  static const int many_fds[GIPC_MOST_FDS + 1] = {0};
  uint64_t task = 7;
  CHECK_IS(gipc_pool_try_put_with(pool, "l", 1, fds, 2, NULL, &task), -EBADF);
  CHECK_IS(gipc_pool_try_put_with(pool, "l", 1, NULL, 1, NULL, &task), -EINVAL);
  CHECK_IS(gipc_pool_try_put_with(pool, "l", 1, many_fds, GIPC_MOST_FDS + 1,
                                  NULL, &task),
           -EINVAL);
  CHECK_IS((long)task, 7);
  CHECK_IS(count_fds(), before);
  int watched = put_watched(pool, "l", NULL);
  before = count_fds();
  CHECK_IS(gipc_pool_try_put_with(pool, "l", 1, fds, 1, NULL, &task), -EAGAIN);
  CHECK_IS(count_fds(), before);
  gipc_pool_free(pool);
  expect_gone(watched);
}

static void a_pool_without_room_refuses_them(void **state) {
  not_under_valgrind();
  gipc_pool *pool = pool_of(serve, NULL, "most=1");
  uint64_t task = 7;
  int fd = 0, before = count_fds();
  CHECK_OK(set_room(false));
  CHECK_IS(gipc_pool_try_put_with(pool, "l", 1, &fd, 1, NULL, &task), -EMFILE);
  CHECK_OK(set_room(true));
  CHECK_IS(count_fds(), before);
  gipc_pool_free(pool);
}

/* The task fails, and says why; the worker goes on. */
static void a_worker_without_room_fails_the_task(void **state) {
  not_under_valgrind();
  gipc_pool *pool = fds_pool("most=1");
  CHECK_IS(do_task(pool, "n"), GIPC_WHY_DONE);
  int watched = put_watched(pool, "t", NULL);
  run_until(2);
  CHECK_IS(got.last.why, GIPC_WHY_FAILED);
  CHECK(strcmp(got.data, gipc_strerror(-EMFILE)) == 0);
  expect_gone(watched);
  CHECK_IS(do_task(pool, "y"), GIPC_WHY_DONE);
  int fd = make_fd(9);
  put_fd(pool, "t", fd, NULL);
  close(fd);
  run_until(4);
  expect_number(9);
  CHECK_IS((long)got.started, 1);
  end_pool(pool);
}

/* ---- Programs ------------------------------------------------------------ */

static gipc_pool *program_pool(const char *const argv[], bool by_stdio) {
  gipc_rules rules = {.size = sizeof rules, .most = 1};
  gipc_options *o = new_options();
  gipc_pool *pool = NULL;
  for (int i = 0; i < 2 && by_stdio; i++)
    CHECK_OK(gipc_options_set_stdio(o, i, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_pool_exec(argv, &rules, o, &pool));
  gipc_options_free(o);
  start_pool(pool);
  return pool;
}

static void programs_get_them(void **state) {
  need_descriptors();
  const char *const argv[] = {PROGRAM("child_worker"), "worker", NULL};
  int fd, watched = make_watched(&fd);
  char text[16] = "";
  gipc_pool *pool = program_pool(argv, false);
  put_fd(pool, "abc", fd, NULL);
  close(fd);
  run_until(1);
  CHECK_IS(got.last.why, GIPC_WHY_DONE);
  CHECK_IS(read_text(watched, text, sizeof text), 3);
  CHECK(strcmp(text, "cba") == 0);
  end_pool(pool);
}

static void a_launcher_has_none_and_says_so(void **state) {
  const char *const argv[] = {"/bin/sh", "-c", "exec \"$0\" stdio",
                              PROGRAM("child_worker"), NULL};
  gipc_task_rules again = {
      .size = sizeof again, .retries = 2, .retry_for = GIPC_RETRY_FAILED};
  gipc_pool *pool = program_pool(argv, true);
  CHECK_IS(do_task(pool, "abc"), GIPC_WHY_DONE);
  for (int i = 0; i < 2; i++) {
    int watched = put_watched(pool, "abc", i == 0 ? NULL : &again);
    run_until(got.count + 1);
    CHECK_IS(got.last.why, GIPC_WHY_FAILED);
    CHECK_IS(got.last.error, -EOPNOTSUPP);
    CHECK_IS(got.last.attempt, i == 0 ? 1 : 3);
    CHECK(strcmp(got.data, gipc_strerror(-EOPNOTSUPP)) == 0);
    expect_gone(watched);
  }
  CHECK_IS(do_task(pool, "xyz"), GIPC_WHY_DONE);
  CHECK_IS((long)got.started, 1);
  CHECK_IS(got.last.error, 0);
  end_pool(pool);
}

/* ---- Kept descriptors ---------------------------------------------------- */

static gipc_pool *of_parent;
static gipc_fds *kept_by_parent;
static int free_inherited(struct ev_loop *fresh, void *argument) {
  int fds[8];
  for (int i = 0; i < 8; i++) /* the numbers of those that were closed */
    fds[i] = make_fd((uint32_t)i);
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_IS(gipc_try_put_fds(w, "a", 1, kept_by_parent), GIPC_EWRONGPROC);
  gipc_fds_free(kept_by_parent);
  gipc_pool_free(of_parent);
  for (int i = 0; i < 8; i++)
    CHECK(is_fd(fds[i], (uint32_t)i));
  CHECK_OK(gipc_fds_new(fds, 1, &kept_by_parent));
  gipc_fds_free(kept_by_parent);
  /* The parent closes its copies now: then there are none. */
  return wait_fd(*(int *)argument, POLLIN, 60000) ? 0 : 1;
}

static void a_child_has_none_of_those_that_wait(void **state) {
  need_descriptors();
  int fd, watched = make_watched(&fd);
  of_parent = pool_of(serve, NULL, "most=1");
  put_fd(of_parent, "l", fd, NULL);
  CHECK_OK(gipc_fds_new(&fd, 1, &kept_by_parent));
  close(fd);
  gipc_process *p = start(free_inherited, &watched, NULL);
  gipc_pool_free(of_parent);
  gipc_fds_free(kept_by_parent);
  CHECK_IS(end_of(p), 0);
  expect_gone(watched);
}

static void kept_descriptors_are_put_several_times(void **state) {
  need_descriptors();
  gipc_handle *r, *w;
  gipc_fds *kept = NULL;
  int fd = make_fd(3);
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_IS(gipc_fds_new(NULL, 1, &kept), -EINVAL);
  CHECK_IS(gipc_fds_new(&fd, 1, NULL), -EINVAL);
  CHECK_IS(gipc_try_put_fds(NULL, "a", 1, kept), -EINVAL);
  CHECK_IS(gipc_try_put_fds(w, "a", 1, NULL), -EINVAL);
  CHECK_OK(gipc_fds_new(&fd, 1, &kept));
  close(fd);
  for (int i = 0; i < 3; i++) {
    const void *data;
    size_t size;
    CHECK_OK(gipc_try_put_fds(w, "a", 1, kept));
    CHECK_OK(gipc_get(r, 20, &data, &size));
    CHECK_IS(gipc_take_fds(r, &fd, 1), 1);
    CHECK(is_fd(fd, 3));
    close(fd);
  }
  gipc_fds_free(kept);
  CHECK_OK(gipc_fds_new(NULL, 0, &kept));
  CHECK_OK(gipc_try_put_fds(w, "a", 1, kept));
  gipc_fds_free(kept);
  gipc_fds_free(NULL);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(descriptors_come_with_their_task),
      TEST(those_not_taken_are_closed_after_the_task),
      TEST(a_task_that_is_carried_out_again_gets_them_again),
      TEST(a_worker_that_dies_with_them_loses_nothing_else),
      TEST(a_cancelled_task_closes_them),
      TEST(a_pool_that_is_freed_closes_them),
      TEST(a_put_that_is_refused_keeps_none),
      TEST(a_pool_without_room_refuses_them),
      TEST(a_worker_without_room_fails_the_task),
      TEST(programs_get_them),
      TEST(a_launcher_has_none_and_says_so),
      TEST(a_child_has_none_of_those_that_wait),
      TEST(kept_descriptors_are_put_several_times),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
