/* Forks of a runtime, forks of the application, and forks that fail. */
#include "support_process.h"

#include <fcntl.h>

/* ---- Runtimes that fork
 * ------------------------------------------------------ */

static int adopt(const gipc_options *o, int code, gipc_process **p) {
  gipc_fork_context *f = NULL;
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork();
  if (pid == 0) {
    int error = gipc_fork_child(f);
    gipc_exit(error == 0 ? code : 99);
  }
  return gipc_fork_parent(f, pid, p);
}

static void a_fork_of_ones_own_is_adopted(void **state) {
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  uint64_t blocked = signal_field("SigBlk");
  for (int code = 0; code < 5; code++) {
    CHECK_OK(adopt(o, code, &p));
    CHECK_IS(info_of(p).ended, GIPC_ENDED_EXIT);
    CHECK_IS(end_of(p), code);
  }
  CHECK(signal_field("SigBlk") == blocked);
  gipc_options_free(o);
}

static void an_adopted_child_has_the_options(void **state) {
  gipc_options *o = new_options();
  gipc_handle *r, *w;
  gipc_fork_context *f = NULL;
  gipc_process *p = NULL;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  CHECK_OK(gipc_options_set_cwd(o, "/usr"));
  CHECK_OK(gipc_options_set_name(o, "adopted"));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_ADOPTED", "yes"));
  CHECK_OK(gipc_options_block_signal(o, SIGUSR2));
  CHECK_OK(gipc_fork_prepare(o, &f));
  CHECK(signal_field("SigBlk") != 0); /* until after the fork */
  pid_t pid = fork();
  if (pid == 0) {
    char path[64];
    CHECK_OK(gipc_fork_child(f));
    CHECK(getcwd(path, 64) != NULL && strcmp(path, "/usr") == 0);
    CHECK(getenv("GIPC_TEST_ADOPTED") != NULL);
    CHECK(signal_field("SigBlk") == 1u << (SIGUSR2 - 1));
    CHECK_IS(gipc_directions(r), GIPC_EWRONGPROC);
    CHECK_OK(gipc_try_put(w, "queued", 6));
    gipc_exit(0); /* flushes */
  }
  CHECK_OK(gipc_fork_parent(f, pid, &p));
  assert_string_equal(gipc_process_name(p), "adopted");
  CHECK_IS(gipc_directions(w), GIPC_ECLOSED);
  CHECK_OK(gipc_get(r, 20, &data, &size));
  CHECK(size == 6 && memcmp(data, "queued", 6) == 0);
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_failed_fork_is_undone(void **state) {
  gipc_options *o = new_options();
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  for (int i = 0; i < 20; i++) {
    gipc_fork_context *f = NULL;
    gipc_process *p = NULL;
    int fds = count_fds();
    uint64_t blocked = signal_field("SigBlk");
    CHECK_OK(gipc_fork_prepare(o, &f));
    errno = EAGAIN;
    CHECK_IS(gipc_fork_parent(f, -1, &p), -EAGAIN);
    CHECK(p == NULL && signal_field("SigBlk") == blocked);
    CHECK_IS(count_fds(), fds);
  }
  CHECK_IS(gipc_directions(w), GIPC_WRITE); /* it did not move */
  CHECK_IS(in_child(return_argument, INT(3), NULL), 3);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void
a_failed_setup_of_an_adopted_child_is_an_error_of_the_start(void **state) {
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(adopt(o, 0, &p), -ENOENT);
  CHECK(p == NULL && !has_children());
  gipc_options_free(o);
}

/* ---- The fork function ----------------------------------------------------
 */

static int calls;

static pid_t count_fork(void *user) {
  calls++;
  CHECK(user == &calls);
  return fork();
}

static pid_t fail_fork(void *user) {
  errno = *(int *)user;
  return -1;
}

static void the_runtimes_fork_function_is_called(void **state) {
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  int error = ENOMEM;
  calls = 0;
  CHECK_OK(gipc_options_set_fork(o, count_fork, &calls));
  CHECK_IS(in_child(return_argument, INT(6), o), 6);
  CHECK_IS(calls, 1);
  CHECK_IS(end_of(execute(o, "true", NULL)), 0); /* programs need none */
  CHECK_IS(calls, 1);
  CHECK_OK(gipc_options_set_fork(o, fail_fork, &error));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -ENOMEM);
  error = EAGAIN; /* H23 */
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EAGAIN);
  CHECK(p == NULL && !has_children());
  CHECK_OK(gipc_options_set_fork(o, NULL, NULL)); /* fork(2) again */
  CHECK_IS(in_child(return_argument, INT(6), o), 6);
  gipc_options_free(o);
}

static pid_t fork_and_kill(void *user) {
  pid_t pid = fork();
  if (pid > 0)
    kill(pid, SIGKILL);
  return pid;
}

static pid_t fork_and_stop(void *user) {
  pid_t pid = fork();
  if (pid > 0) { /* in the start gate, which is closed */
    kill(pid, SIGSTOP);
    siginfo_t info;
    CHECK_OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED));
  }
  return pid;
}

static void
a_child_killed_in_the_start_gate_ended_before_its_start(void **state) {
  /* H38, H48: it has not run when its descriptor is opened. */
  gipc_options *o = new_options();
  for (size_t i = 0; i < many(50, 5); i++) {
    CHECK_OK(gipc_options_set_fork(o, fork_and_kill, NULL));
    gipc_process *p = start(return_argument, NULL, o);
    gipc_exit_info info = info_of(p);
    CHECK_IS(info.ended, GIPC_ENDED_BEFORE_START);
    CHECK_IS(info.signal, SIGKILL);
    CHECK_IS(end_of(p), -SIGKILL);

    CHECK_OK(gipc_options_set_fork(o, fork_and_stop, NULL));
    p = start(return_argument, NULL, o);
    CHECK_IS(gipc_process_is_alive(p), 1);
    CHECK_OK(gipc_process_kill(p));
    CHECK_IS(info_of(p).ended, GIPC_ENDED_BEFORE_START);
    gipc_process_free(p);
  }
  /* Also where the start waits for the child. */
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  CHECK_OK(gipc_options_set_fork(o, fork_and_kill, NULL));
  gipc_process *p = start(return_argument, NULL, o);
  CHECK_IS(info_of(p).ended, GIPC_ENDED_BEFORE_START);
  gipc_process_free(p);
  /* A child that is killed after it has started. */
  gipc_options_free(o);
  o = new_options();
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  p = start(wait_for_signal, NULL, o);
  CHECK_OK(gipc_process_kill(p));
  CHECK_IS(info_of(p).ended, GIPC_ENDED_UNKNOWN);
  gipc_process_free(p);
  gipc_options_free(o);
}

static void
a_child_stopped_and_continued_in_the_start_gate_runs_normally(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_fork(o, fork_and_stop, NULL));
  gipc_process *p = start(return_argument, INT(5), o);
  CHECK_OK(gipc_process_signal(p, SIGCONT));
  CHECK_IS(info_of(p).ended, GIPC_ENDED_RETURN);
  CHECK_IS(end_of(p), 5);
  gipc_options_free(o);
}

/* ---- Forks the library does not know of
 * --------------------------------------- */

struct both {
  gipc_handle *r, *w;
  gipc_process *p;
  bool raw;
};

static int use_in_foreign_child(struct both *both) {
  const void *data;
  size_t size;
  int code = 77;
  CHECK_IS(gipc_try_get(both->r, &data, &size), GIPC_EWRONGPROC);
  CHECK_IS(gipc_try_put(both->w, "x", 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_close(both->w), GIPC_EWRONGPROC);
  gipc_handle_free(both->r);
  gipc_handle_free(both->w);
  CHECK_IS(gipc_process_join(both->p, 1), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_exitcode(both->p, &code), GIPC_EWRONGPROC);
  CHECK_IS(gipc_process_kill(both->p), GIPC_EWRONGPROC);
  gipc_process_free(both->p);
  gipc_process_free(NULL);
  /* It has a life of its own. */
  CHECK_IS(in_child(return_argument, INT(3), NULL), 3);
  CHECK_IS(end_of(execute(NULL, "true", NULL)), 0);
  return 0;
}

static void a_fork_of_the_application_does_not_affect_its_parent(void **state) {
  /* H37 */
  for (int raw = 0; raw < 2; raw++) {
    struct both both;
    int status;
    const void *data;
    size_t size;
    CHECK_OK(gipc_pipe(&both.r, &both.w));
    both.p = start(wait_for_signal, NULL, NULL);
    CHECK_OK(gipc_put(both.w, "before", 6, 20));
    pid_t pid = raw ? raw_fork() : fork();
    if (pid == 0) {
      alarm(60);
      if (raw) { /* where getpid(), too, may be the parent's */
        CHECK_IS(gipc_try_put(both.w, "x", 1), GIPC_EWRONGPROC);
        _exit(0);
      }
      _exit(use_in_foreign_child(&both));
    }
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(status, 0);
    CHECK_OK(gipc_get(both.r, 20, &data, &size));
    CHECK(size == 6 && memcmp(data, "before", 6) == 0);
    for (int i = 0; i < 1000; i++) {
      CHECK_OK(gipc_put(both.w, &i, sizeof i, 20));
      CHECK_OK(gipc_get(both.r, 20, &data, &size));
      CHECK(size == sizeof i && memcmp(data, &i, size) == 0);
    }
    CHECK_IS(gipc_process_is_alive(both.p), 1);
    destroy(both.p);
    gipc_handle_free(both.r);
    gipc_handle_free(both.w);
  }
}

static int ends;

static void on_end(gipc_process *p, void *user) {
  ends++;
  CHECK(getpid() == *(pid_t *)user);
}

static void
no_exit_callback_is_called_in_a_child_of_another_fork(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_FORKCHECK);
  pid_t self = getpid();
  int status;
  ends = 0;
  gipc_process *p = start(return_argument, INT(3), NULL);
  CHECK_OK(gipc_process_watch(p, loop, on_end, &self));
  siginfo_t info;
  CHECK_OK(waitid(P_PID, (id_t)gipc_process_pid(p), &info, WEXITED | WNOWAIT));
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 10; i++)
      ev_run(loop, EVRUN_NOWAIT);
    _exit(ends);
  }
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK_IS(status, 0);
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(ends, 1);
  CHECK_IS(end_of(p), 3);
  ev_loop_destroy(loop);
}

static int exit_in_grandchild(struct ev_loop *fresh, void *argument) {
  pid_t pid = fork();
  int status;
  if (pid == 0)
    exit(44); /* not the end of the child itself */
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK_IS(status, 44 << 8);
  return 5;
}

static void a_grandchild_does_not_report_for_its_parent(void **state) {
  gipc_process *p = start(exit_in_grandchild, NULL, NULL);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, 5);
  CHECK_IS(info.ended, GIPC_ENDED_RETURN);
  gipc_process_free(p);
}

static int exit_in_another_process(void *argument) { gipc_exit(7); }

static void gipc_exit_in_another_process_is__exit(void **state) {
  int status;
  pid_t pid = child_start(exit_in_another_process, NULL);
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK_IS(status, 7 << 8);
}

/* As the runtime of a language does, which opens descriptors of its own in the
 * child, in the fork. */
static void a_runtime_keeps_what_it_has_opened_since_the_fork(void **state) {
  gipc_options *o = new_options();
  gipc_fork_context *f;
  gipc_process *p;
  int code, kept = dup(2), other = dup(2);
  CHECK_OK(gipc_options_keep_fds(o, &kept, 1));
  CHECK_OK(gipc_fork_prepare(o, &f));
  pid_t pid = fork();
  if (pid == 0) {
    int fds[] = {dup(2), kept}, lost = dup(2);
    if (gipc_options_keep_fds(o, fds, 2) < 0 || gipc_fork_child(f) < 0)
      gipc_exit(1);
    gipc_exit(fcntl(fds[0], F_GETFD) < 0   ? 2
              : fcntl(kept, F_GETFD) < 0   ? 3
              : fcntl(lost, F_GETFD) >= 0  ? 4
              : fcntl(other, F_GETFD) >= 0 ? 5
                                           : 0);
  }
  CHECK_OK(gipc_fork_parent(f, pid, &p));
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(code, 0);
  gipc_process_free(p);
  gipc_options_free(o);
  close(kept);
  close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_fork_of_ones_own_is_adopted),
      TEST(an_adopted_child_has_the_options),
      TEST(a_runtime_keeps_what_it_has_opened_since_the_fork),
      TEST(a_failed_fork_is_undone),
      TEST(a_failed_setup_of_an_adopted_child_is_an_error_of_the_start),
      TEST(the_runtimes_fork_function_is_called),
      TEST(a_child_killed_in_the_start_gate_ended_before_its_start),
      TEST(a_child_stopped_and_continued_in_the_start_gate_runs_normally),
      TEST(a_fork_of_the_application_does_not_affect_its_parent),
      TEST(no_exit_callback_is_called_in_a_child_of_another_fork),
      TEST(a_grandchild_does_not_report_for_its_parent),
      TEST(gipc_exit_in_another_process_is__exit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
