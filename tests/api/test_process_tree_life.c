/* Trees in the rest of a program's life: templates, pools, other reapers, trees
 * in trees. */
#include "support_tree.h"

#include <fcntl.h>
#include <pthread.h>

/* ---- Templates ---------------------------------------------------------- */

static int start_from_template(void *argument) {
  gipc_template *t = new_template(NULL);
  for (int i = 0; i < 2; i++) {
    gipc_options *o = tree_options();
    char bytes[2];
    if (i == 1)
      CHECK_OK(gipc_options_set_daemon(o, 1));
    struct tree it = {start_from(t, escape, INT(-1), 0, o), -1};
    gipc_options_free(o);
    it.alive = gipc_process_stdio(it.p, 1);
    CHECK(read_all(it.alive, bytes, 2));
    CHECK_IS(gipc_process_is_alive(it.p), 1);
    CHECK_OK(gipc_process_stop(it.p, 60));
    CHECK_IS(info_of(it.p).tree, tested_way);
    if (tested_way == GIPC_TREE_SESSION)
      close(it.alive);
    else
      tree_is_gone(&it);
    CHECK_IS(end_of(it.p), -SIGTERM);
  }
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_IS(run_from(t, return_argument, INT(6), 0, o), 6);
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_template_start(t, escape, INT(-1), 0, o, &p), -ENOENT);
  assert_string_equal(gipc_options_failed(o), "cwd");
  gipc_options_free(o);
  gipc_template_free(t);
  end_children();
  return 0;
}

static void a_template_starts_trees(void **state) {
  gipc_template_free(new_template(NULL)); /* or skips */
  in_each_way(start_from_template, NULL);
}

static void a_template_is_no_tree_itself(void **state) {
  gipc_template_free(new_template(NULL)); /* or skips */
  gipc_options *o = new_options();
  gipc_template *t = NULL;
  const char *argv[] = {"true", NULL};
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_IS(gipc_template_new(o, &t), -EOPNOTSUPP);
  assert_string_equal(gipc_options_failed(o), "group");
  CHECK_IS(gipc_template_exec(argv, o, &t), -EOPNOTSUPP);
  CHECK(t == NULL);
  gipc_options_free(o);
}

/* ---- Pools -------------------------------------------------------------- */

static int leave_one(const gipc_worker_message *task,
                     gipc_worker_message *answer, void *user) {
  escape(NULL, INT(0));
  return 0;
}

static int work(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  return gipc_worker_serve(h, leave_one, NULL);
}

struct seen {
  struct ev_loop *loop;
  int results, why;
};

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  struct seen *seen = user;
  CHECK_IS(result->why, GIPC_WHY_DONE);
  seen->results++;
  CHECK_OK(gipc_pool_stop(pool, -1));
}

static void on_end(gipc_pool *pool, int why, void *user) {
  struct seen *seen = user;
  seen->why = why;
  ev_break(seen->loop, EVBREAK_ALL);
}

static int run_pool(void *argument) {
  struct seen seen = {.loop = ev_loop_new(EVFLAG_AUTO)};
  gipc_pool_events events = {
      .size = sizeof events, .on_result = on_result, .on_end = on_end};
  gipc_options *o = new_options();
  gipc_rules rules = {.size = sizeof rules, .most = 1};
  gipc_pool *pool;
  uint64_t task;
  int pipe[2];
  char byte;
  CHECK_OK(pipe2(pipe, O_CLOEXEC));
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_FD, pipe[1]));
  CHECK_OK(gipc_pool_new(work, NULL, &rules, o, &pool));
  gipc_options_free(o);
  CHECK_OK(gipc_pool_try_put(pool, "t", 1, NULL, &task));
  CHECK_OK(gipc_pool_start(pool, seen.loop, &events, &seen));
  ev_run(seen.loop, 0);
  CHECK_IS(seen.results, 1);
  CHECK_IS(seen.why, GIPC_WHY_STOPPED);
  gipc_pool_free(pool);
  close(pipe[1]);
  if (tested_way == GIPC_TREE_SESSION)
    end_children();
  while (read(pipe[0], &byte, 1) > 0)
    ;
  close(pipe[0]);
  ev_loop_destroy(seen.loop);
  return 0;
}

static void what_a_worker_of_a_pool_leaves_ends_with_it(void **state) {
  in_each_way(run_pool, NULL);
}

/* ---- Others that reap --------------------------------------------------- */

/* A start may reap a child that ends before it returns: these wait for the end
 * of their stdin. */
static int return_behind_stdin(struct ev_loop *fresh, void *argument) {
  char byte;
  CHECK(read(0, &byte, 1) == 0);
  return return_argument(fresh, argument);
}

static void is_stolen(gipc_process *p, int code) {
  int status;
  close(gipc_process_stdio(p, 0));
  CHECK(waitpid(-1, &status, 0) > 0);
  CHECK_IS(WEXITSTATUS(status), code);
  CHECK_IS(end_of(p), code);
}

static int steal(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  for (int code = 0; code < 3; code++)
    is_stolen(start(return_behind_stdin, INT(code), o), code);
  is_stolen(execute(o, "sh", "-c", "read line; exit 5", NULL), 5);
  gipc_options_free(o);
  return 0;
}

static int steal_without_kept_status(void *argument) {
  CHECK(fail_pidfd_info());
  return steal(argument);
}

static void another_reaper_does_not_lose_the_status_of_a_tree(void **state) {
  in_each_way(steal, NULL);
  in_each_way(steal_without_kept_status, NULL);
}

/* ---- The objects -------------------------------------------------------- */

static int free_it(void *argument) {
  int fds = count_fds();
  struct tree it = start_tree(true, -1, NULL);
  pid_t root = gipc_process_pid(it.p);
  gipc_process_free(it.p);
  CHECK(!gone_within(root, 0.02));
  CHECK_OK(kill(root, SIGKILL));
  CHECK(gone_within(root, 60));
  if (tested_way == GIPC_TREE_SESSION)
    close(it.alive);
  else
    while (read(it.alive, &root, 1) > 0)
      ;
  if (tested_way != GIPC_TREE_SESSION)
    close(it.alive);
  /* The guard is reaped within a later call. */
  double end = now() + 60;
  while (count_fds() != fds && now() < end)
    gipc_process_free(NULL);
  CHECK_IS(count_fds(), fds);
  if (tested_way == GIPC_TREE_SESSION)
    end_children();
  return 0;
}

static void a_freed_tree_continues_to_run(void **state) {
  in_each_way(free_it, NULL);
}

static int echo(struct ev_loop *fresh, void *argument) {
  const void *data;
  size_t size;
  while (gipc_get(argument, 60, &data, &size) == 0)
    CHECK_OK(gipc_put(argument, data, size, 60));
  return 0;
}

static void a_tree_has_the_handles_that_it_was_passed(void **state) {
  gipc_options *o = new_options();
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_options_pass(o, "h", b));
  gipc_process *p = start(echo, b, o);
  gipc_options_free(o);
  for (int i = 0; i < 1000; i++) {
    CHECK_OK(gipc_put(a, &i, sizeof i, 60));
    CHECK_OK(gipc_get(a, 60, &data, &size));
    CHECK(memcmp(data, &i, sizeof i) == 0);
  }
  /* The guard does not hold the stream open. */
  CHECK_OK(gipc_close(a));
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static int start_another(struct ev_loop *fresh, void *argument) {
  char bytes[2];
  gipc_options *o = tree_options();
  gipc_process *p = start(escape, INT(-1), o);
  CHECK(read_all(gipc_process_stdio(p, 1), bytes, 2));
  CHECK(write_all(1, bytes, 2));
  return wait_for_signal(fresh, NULL);
}

static void *wait_in_thread(void *argument) {
  pause();
  return NULL;
}

static void a_child_with_threads_is_no_tree(void **state) {
  gipc_options *o = new_options();
  gipc_fork_context *f = NULL;
  gipc_process *p = NULL;
  if (portable())
    skip_because("it does not look for threads");
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    CHECK_OK(pthread_create(&thread, NULL, wait_in_thread, NULL));
    gipc_exit(gipc_fork_child(f) == -EBUSY ? 0 : 1);
  }
  CHECK_IS(gipc_fork_parent(f, pid, &p), -EBUSY);
  CHECK(p == NULL);
  assert_string_equal(gipc_options_failed(o), "group");
  gipc_options_free(o);
}

static int nest(void *argument) {
  char bytes[2];
  gipc_options *o = tree_options();
  struct tree it = {start(start_another, NULL, o), -1};
  gipc_options_free(o);
  it.alive = gipc_process_stdio(it.p, 1);
  CHECK(read_all(it.alive, bytes, 2));
  CHECK_OK(gipc_process_kill(it.p));
  /* The inner root, its guard, and the one that escaped. */
  if (tested_way != GIPC_TREE_SESSION)
    CHECK(info_of(it.p).left >= 2);
  tree_is_gone(&it);
  CHECK_IS(end_of(it.p), -SIGKILL);
  return 0;
}

static void a_tree_in_a_tree_ends_with_it(void **state) {
  in_each_way(nest, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_template_starts_trees),
      TEST(a_template_is_no_tree_itself),
      TEST(what_a_worker_of_a_pool_leaves_ends_with_it),
      TEST(another_reaper_does_not_lose_the_status_of_a_tree),
      TEST(a_freed_tree_continues_to_run),
      TEST(a_tree_has_the_handles_that_it_was_passed),
      TEST(a_child_with_threads_is_no_tree),
      TEST(a_tree_in_a_tree_ends_with_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
