/* Wrong arguments are -EINVAL, and change nothing. */
#include "support_process.h"

#include <math.h>

static pid_t no_fork(void *user) { return -1; }
static void no_end(gipc_process *p, void *user) {}

static void options_refuse_wrong_arguments(void **state) {
  gipc_options *o = new_options();
  gipc_handle *r, *w;
  const int bad[] = {1, -1};
  const gid_t group = 1;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_IS(gipc_options_new(NULL), -EINVAL);
  gipc_options_free(NULL);
  CHECK_IS(gipc_options_set_name(NULL, "x"), -EINVAL);
  CHECK_IS(gipc_options_set_name(o, NULL), -EINVAL);
  CHECK_IS(gipc_options_set_daemon(NULL, 1), -EINVAL);
  CHECK_IS(gipc_options_set_death_signal(NULL, SIGTERM), -EINVAL);
  CHECK_IS(gipc_options_pass(NULL, "x", w), -EINVAL);
  CHECK_IS(gipc_options_pass(o, "x", NULL), -EINVAL);
  CHECK_IS(gipc_options_set_env(NULL, "x", "y"), -EINVAL);
  CHECK_IS(gipc_options_set_env(o, NULL, "y"), -EINVAL);
  CHECK_IS(gipc_options_set_env(o, "", "y"), -EINVAL); /* H15 */
  CHECK_IS(gipc_options_set_env(o, "a=b", "y"), -EINVAL);
  CHECK_IS(gipc_options_clear_env(NULL), -EINVAL);
  CHECK_IS(gipc_options_set_cwd(NULL, "/"), -EINVAL);
  CHECK_IS(gipc_options_set_cwd(o, NULL), -EINVAL);
  CHECK_IS(gipc_options_set_cwd(o, ""), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(NULL, 0, GIPC_STDIO_NULL, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, -1, GIPC_STDIO_NULL, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, 3, GIPC_STDIO_NULL, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, 0, -1, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, 0, 5, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, 0, GIPC_STDIO_STDOUT, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, 1, GIPC_STDIO_STDOUT, -1), -EINVAL);
  CHECK_IS(gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, -1), -EINVAL);
  CHECK_IS(gipc_options_set_group(NULL, 0), -EINVAL);
  CHECK_IS(gipc_options_set_user(NULL, 1, 1, NULL, 0), -EINVAL);
  CHECK_IS(gipc_options_set_user(o, 1, 1, NULL, 1), -EINVAL);
  CHECK_IS(gipc_options_set_user(NULL, 1, 1, &group, 1), -EINVAL);
  CHECK_IS(gipc_options_set_no_new_privileges(NULL, 1), -EINVAL);
  CHECK_IS(gipc_options_set_rlimit(NULL, 0, 1, 1), -EINVAL);
  CHECK_IS(gipc_options_keep_fds(NULL, bad, 1), -EINVAL);
  CHECK_IS(gipc_options_keep_fds(o, NULL, 1), -EINVAL);
  CHECK_IS(gipc_options_keep_fds(o, bad, 2), -EINVAL);
  CHECK_IS(gipc_options_keep_all_fds(NULL), -EINVAL);
  CHECK_IS(gipc_options_block_signal(NULL, SIGTERM), -EINVAL);
  CHECK_IS(gipc_options_set_fork(NULL, no_fork, NULL), -EINVAL);
  /* None of them has changed the options. */
  CHECK_IS(in_child(return_argument, INT(7), o), 7);
  CHECK_IS(end_of(execute(o, "true", NULL)), 0);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void starts_refuse_wrong_arguments(void **state) {
  gipc_process *p = (gipc_process *)&p, *same = p;
  gipc_fork_context *f = (gipc_fork_context *)&f;
  const char *argv[] = {"true", NULL}, *empty[] = {NULL};
  CHECK_IS(gipc_start_process(NULL, NULL, NULL, &p), -EINVAL);
  CHECK_IS(gipc_start_process(return_argument, NULL, NULL, NULL), -EINVAL);
  CHECK_IS(gipc_exec_process(NULL, NULL, &p), -EINVAL);
  CHECK_IS(gipc_exec_process(empty, NULL, &p), -EINVAL);
  CHECK_IS(gipc_exec_process(argv, NULL, NULL), -EINVAL);
  CHECK_IS(gipc_fork_prepare(NULL, NULL), -EINVAL);
  CHECK_IS(gipc_fork_parent(NULL, 1, &p), -EINVAL);
  CHECK_IS(gipc_fork_child(NULL), -EINVAL);
  CHECK(p == same && f == (gipc_fork_context *)&f && !has_children());
}

static void a_fork_can_be_completed_after_a_wrong_argument(void **state) {
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  gipc_fork_context *f = NULL;
  CHECK_OK(gipc_fork_prepare(o, &f));
  CHECK_IS(gipc_fork_parent(f, 0, &p), -EINVAL);
  CHECK_IS(gipc_fork_parent(f, -1, NULL), -EINVAL);
  errno = EAGAIN;
  CHECK_IS(gipc_fork_parent(f, -1, &p), -EAGAIN);
  CHECK(p == NULL);
  gipc_options_free(o);
}

static void processes_refuse_wrong_arguments(void **state) {
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  gipc_exit_info info = {.size = sizeof info};
  int code = 77;
  CHECK_IS(gipc_process_pid(NULL), -EINVAL);
  CHECK(gipc_process_name(NULL) != NULL);
  CHECK_IS(gipc_process_fd(NULL), -EINVAL);
  CHECK_IS(gipc_process_stdio(NULL, 0), -EINVAL);
  CHECK_IS(gipc_process_is_alive(NULL), -EINVAL);
  CHECK_IS(gipc_process_join(NULL, 0), -EINVAL);
  CHECK_IS(gipc_process_join(p, NAN), -EINVAL);
  CHECK_IS(gipc_process_exitcode(NULL, &code), -EINVAL);
  CHECK_IS(gipc_process_exitcode(p, NULL), -EINVAL);
  CHECK_IS(gipc_process_info(NULL, &info), -EINVAL);
  CHECK_IS(gipc_process_info(p, NULL), -EINVAL);
  info.size = 0;
  CHECK_IS(gipc_process_info(p, &info), -EINVAL);
  CHECK_IS(gipc_process_signal(NULL, 0), -EINVAL);
  CHECK_IS(gipc_process_terminate(NULL), -EINVAL);
  CHECK_IS(gipc_process_kill(NULL), -EINVAL);
  CHECK_IS(gipc_process_stop(NULL, 0), -EINVAL);
  CHECK_IS(gipc_process_begin_stop(NULL, 0), -EINVAL);
  CHECK_IS(gipc_process_watch(NULL, loop, no_end, NULL), -EINVAL);
  CHECK_IS(gipc_process_watch(p, NULL, no_end, NULL), -EINVAL);
  CHECK_IS(gipc_process_watch(p, loop, NULL, NULL), -EINVAL);
  CHECK_IS(gipc_process_unwatch(NULL), -EINVAL);
  CHECK_IS(gipc_process_report(NULL, 0), -EINVAL);
  gipc_process_free(NULL);
  CHECK_IS(code, 77);
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(gipc_process_is_alive(p), 1);
  ev_loop_destroy(loop);
  destroy(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(options_refuse_wrong_arguments),
      TEST(starts_refuse_wrong_arguments),
      TEST(a_fork_can_be_completed_after_a_wrong_argument),
      TEST(processes_refuse_wrong_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
