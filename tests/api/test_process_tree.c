/* A child and all that it started end together: stop, kill, status, signals. */
#include "support_tree.h"

#include <sys/resource.h>

static int finish(struct tree *it) {
  int code = 4711;
  CHECK_OK(gipc_process_join(it->p, -1));
  CHECK_OK(gipc_process_exitcode(it->p, &code));
  tree_is_gone(it);
  gipc_process_free(it->p);
  return code;
}

/* ---- Ends --------------------------------------------------------------- */

static int stop_them(void *argument) {
  for (int program = 0; program < 2; program++) {
    int fds = count_fds();
    struct tree it = start_tree(program, -1, NULL);
    CHECK_IS(gipc_process_is_alive(it.p), 1);
    CHECK_OK(gipc_process_stop(it.p, 30));
    if (tested_way != GIPC_TREE_SESSION) {
      CHECK(info_of(it.p).left >= 1); /* or 2: what forked it may be there */
      CHECK_IS(info_of(it.p).killed, info_of(it.p).left);
    }
    CHECK_IS(finish(&it), -SIGTERM);

    it = start_tree(program, -1, NULL);
    CHECK_OK(gipc_process_stop_group(it.p, 30));
    CHECK_IS(finish(&it), -SIGTERM);

    it = start_tree(program, -1, NULL);
    CHECK_OK(gipc_process_kill(it.p));
    CHECK_IS(finish(&it), -SIGKILL);

    it = start_tree(program, -1, NULL);
    CHECK_OK(gipc_process_signal_group(it.p, SIGKILL));
    CHECK_IS(finish(&it), -SIGKILL);
    CHECK_IS(count_fds(), fds);
  }
  return 0;
}

static void
a_tree_ends_whole_where_a_process_escaped_its_session(void **state) {
  in_each_way(stop_them, NULL);
}

static int stay_deaf(struct ev_loop *fresh, void *argument) {
  signal(SIGTERM, SIG_IGN);
  return escape(fresh, INT(-1));
}

static int stop_deaf(void *argument) {
  char bytes[2];
  gipc_options *o = tree_options();
  struct tree it = {start(stay_deaf, NULL, o), -1};
  gipc_options_free(o);
  it.alive = gipc_process_stdio(it.p, 1);
  CHECK(read_all(it.alive, bytes, 2));
  CHECK_OK(gipc_process_stop(it.p, 0.05));
  CHECK_IS(finish(&it), -SIGKILL);
  return 0;
}

static void a_root_that_ignores_the_stop_is_killed_with_all(void **state) {
  in_each_way(stop_deaf, NULL);
}

static int end_by_itself(void *argument) {
  for (int program = 0; program < 2; program++) {
    struct tree it = start_tree(program, 7, NULL);
    CHECK_IS(finish(&it), 7);
  }
  return 0;
}

static void the_end_of_the_root_ends_what_it_left(void **state) {
  in_each_way(end_by_itself, NULL);
}

/* ---- Statuses ----------------------------------------------------------- */

static int end_with(struct ev_loop *fresh, void *argument) {
  int number = (int)(intptr_t)argument;
  struct rlimit none = {0, 0};
  if (number >= 0)
    return number;
  setrlimit(RLIMIT_CORE, &none);
  signal(-number, SIG_DFL);
  raise(-number);
  return 1;
}

static int ends_are_those_of_the_root(void *argument) {
  static const int ends[] = {0, 7, 255, -SIGTERM, -SIGSEGV, -SIGKILL};
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    gipc_process *p = start(end_with, INT(ends[i]), o);
    CHECK_OK(gipc_process_join(p, 60));
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.how, GIPC_STATUS_FROM_WAIT);
    CHECK_IS(info.ended, ends[i] >= 0 ? GIPC_ENDED_RETURN : GIPC_ENDED_UNKNOWN);
    CHECK_IS(info.left, 0);
    CHECK_IS(info.killed, 0);
    CHECK(info.user >= 0 && info.max_rss > 0);
    CHECK_IS(end_of(p), ends[i]);
  }
  CHECK_IS(end_of(execute(o, "sh", "-c", "exit 9", NULL)), 9);
  CHECK_IS(end_of(execute(o, "sh", "-c", "kill -9 $$", NULL)), -SIGKILL);
  gipc_options_free(o);
  return 0;
}

static void a_tree_has_the_status_of_its_root(void **state) {
  in_each_way(ends_are_those_of_the_root, NULL);
}

static int report_pid(struct ev_loop *fresh, void *argument) {
  pid_t ids[4] = {getpid(), getsid(0), getpgrp(), getppid()};
  CHECK(write_all(1, ids, sizeof ids));
  return 0;
}

static void the_root_is_the_process_that_is_reported(void **state) {
  gipc_options *o = tree_options();
  pid_t ids[4];
  char name[32];
  gipc_process *p = start(report_pid, NULL, o);
  gipc_options_free(o);
  int fd = gipc_process_stdio(p, 1);
  CHECK(read_all(fd, ids, sizeof ids));
  close(fd);
  for (int i = 0; i < 3; i++)
    CHECK_IS(ids[i], gipc_process_pid(p));
  CHECK(ids[3] != getpid());
  snprintf(name, sizeof name, "gipc-%d", (int)ids[0]);
  assert_string_equal(gipc_process_name(p), name);
  CHECK_IS(end_of(p), 0);
}

static void a_child_without_a_tree_has_none(void **state) {
  gipc_process *p = start(return_argument, NULL, NULL);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.tree, GIPC_TREE_NONE);
  CHECK_IS(info.left, 0);
  CHECK_IS(info.killed, 0);
  gipc_process_free(p);
}

/* ---- Starts that fail --------------------------------------------------- */

static int fail_to_start(void *argument) {
  int fds = count_fds();
  gipc_options *o = tree_options();
  gipc_process *p = NULL;
  const char *argv[] = {"/does/not/exist", NULL};
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOENT);
  assert_string_equal(gipc_options_failed(o), "program");
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOENT);
  assert_string_equal(gipc_options_failed(o), "cwd");
  CHECK_IS(gipc_start_process(escape, NULL, o, &p), -ENOENT);
  assert_string_equal(gipc_options_failed(o), "cwd");
  CHECK(p == NULL);
  gipc_options_free(o);
  CHECK(!has_children());
  CHECK_IS(count_fds(), fds);
  return 0;
}

static void a_start_that_fails_leaves_no_process_and_no_cgroup(void **state) {
  in_each_way(fail_to_start, NULL);
}

/* ---- Signals to all ----------------------------------------------------- */

static int signal_all(void *argument) {
  struct tree it = start_tree(true, -1, NULL);
  CHECK_OK(gipc_process_signal_group(it.p, 0));
  CHECK_IS(gipc_process_signal_group(it.p, NSIG), -EINVAL);
  /* Nobody catches it. */
  CHECK_OK(gipc_process_signal_group(it.p, SIGUSR1));
  CHECK_IS(finish(&it), -SIGUSR1);
  it = start_tree(true, -1, NULL);
  CHECK_OK(gipc_process_stop_group(it.p, 30));
  CHECK_IS(gipc_process_signal_group(it.p, SIGTERM), GIPC_EDEAD);
  CHECK_IS(finish(&it), -SIGTERM);
  return 0;
}

static void a_signal_to_the_group_is_for_the_tree(void **state) {
  in_each_way(signal_all, NULL);
}

static void write_signal(int number) {
  ssize_t ignored = write(1, "s", 1);
  (void)ignored;
}

/* Root, child, and one that has lost its parent and leads a session. */
static int wait_thrice(struct ev_loop *fresh, void *argument) {
  signal(SIGUSR2, write_signal);
  if (fork() == 0 && fork() == 0) {
    if (fork() == 0) {
      setsid();
      CHECK(write(1, "x", 1) == 1);
      return wait_for_signal(fresh, NULL);
    }
    _exit(0);
  }
  CHECK(write(1, "x", 1) == 1);
  return wait_for_signal(fresh, NULL);
}

static int reach_all(void *argument) {
  char bytes[3];
  gipc_options *o = tree_options();
  struct tree it = {start(wait_thrice, NULL, o), -1};
  gipc_options_free(o);
  it.alive = gipc_process_stdio(it.p, 1);
  CHECK(read_all(it.alive, bytes, 3));
  CHECK_OK(gipc_process_signal_group(it.p, SIGUSR2));
  bool has_all = tested_way != GIPC_TREE_SESSION;
  CHECK(read_all(it.alive, bytes, has_all ? 3 : 2));
  CHECK_OK(gipc_process_kill(it.p));
  if (has_all)
    CHECK(info_of(it.p).left >= 2);
  CHECK_IS(finish(&it), -SIGKILL);
  return 0;
}

static void a_signal_reaches_all_of_a_tree(void **state) {
  in_each_way(reach_all, NULL);
}

/* ---- On a loop ---------------------------------------------------------- */

static void note_end(gipc_process *p, void *user) { *(bool *)user = true; }

static int stop_on_loops(void *argument) {
  for (int i = 0; i < 4; i++) {
    struct ev_loop *loop =
        i % 2 ? ev_default_loop(EVFLAG_AUTO) : ev_loop_new(EVFLAG_AUTO);
    struct tree it = start_tree(i / 2, -1, NULL);
    bool ended = false;
    CHECK_OK(gipc_process_watch(it.p, loop, note_end, &ended));
    CHECK_OK(i / 2 ? gipc_process_begin_stop(it.p, 30)
                   : gipc_process_begin_stop_group(it.p, 30));
    while (!ended)
      ev_run(loop, EVRUN_ONCE);
    CHECK_IS(finish(&it), -SIGTERM);
    ev_loop_destroy(loop);
  }
  return 0;
}

static void a_loop_stops_a_tree_without_waiting(void **state) {
  in_each_way(stop_on_loops, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_tree_ends_whole_where_a_process_escaped_its_session),
      TEST(a_root_that_ignores_the_stop_is_killed_with_all),
      TEST(the_end_of_the_root_ends_what_it_left),
      TEST(a_tree_has_the_status_of_its_root),
      TEST(the_root_is_the_process_that_is_reported),
      TEST(a_child_without_a_tree_has_none),
      TEST(a_start_that_fails_leaves_no_process_and_no_cgroup),
      TEST(a_signal_to_the_group_is_for_the_tree),
      TEST(a_signal_reaches_all_of_a_tree),
      TEST(a_loop_stops_a_tree_without_waiting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
