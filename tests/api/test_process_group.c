/* Signals and stops that reach a whole process group. */
#include "support_process.h"

#include <fcntl.h>

/* A child with a child of its own in its group, both of which hold the writing
 * end of a pipe: its end comes when the last of the group is gone. */
struct group_of_two {
  int alive; /* readable, at its end, when none is left */
  gipc_process *p;
};

static int have_child(struct ev_loop *fresh, void *argument) {
  bool ignores = argument != NULL;
  if (fork() == 0) {
    if (ignores)
      signal(SIGTERM, SIG_IGN);
    CHECK(write(1, "x", 1) == 1);
    for (;;)
      pause();
  }
  CHECK(write(1, "x", 1) == 1);
  return wait_for_signal(fresh, NULL);
}

static struct group_of_two start_group(bool ignores, int group) {
  struct group_of_two it;
  char bytes[2];
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_group(o, group));
  it.p = start(have_child, ignores ? INT(1) : NULL, o);
  gipc_options_free(o);
  it.alive = gipc_process_stdio(it.p, 1);
  CHECK(read_all(it.alive, bytes, sizeof bytes));
  return it;
}

static void all_are_gone(struct group_of_two *it) {
  char byte;
  CHECK_IS((long)read(it->alive, &byte, 1), 0);
  close(it->alive);
}

static void a_signal_to_the_group_reaches_all_of_it(void **state) {
  struct group_of_two it = start_group(false, GIPC_GROUP_NEW);
  CHECK_OK(gipc_process_signal_group(it.p, 0));
  CHECK_OK(gipc_process_signal_group(it.p, SIGTERM));
  all_are_gone(&it);
  CHECK_OK(gipc_process_join(it.p, -1));
  CHECK_IS(gipc_process_signal_group(it.p, SIGTERM), GIPC_EDEAD);
  CHECK_IS(end_of(it.p), -SIGTERM);
}

static void a_group_is_reached_until_its_leader_is_reaped(void **state) {
  struct group_of_two it = start_group(true, GIPC_GROUP_NEW);
  siginfo_t info;
  CHECK_OK(gipc_process_terminate(it.p));
  CHECK_OK(
      waitid(P_PID, (id_t)gipc_process_pid(it.p), &info, WEXITED | WNOWAIT));
  CHECK_OK(gipc_process_signal_group(it.p, SIGKILL));
  all_are_gone(&it);
  CHECK_IS(end_of(it.p), -SIGTERM);
}

static void a_stop_of_the_group_ends_those_that_ignore_it(void **state) {
  /* H55, H135: the leader ends at once, its child never would. */
  for (int group = GIPC_GROUP_NEW; group <= GIPC_GROUP_SESSION; group++) {
    struct group_of_two it = start_group(true, group);
    CHECK_OK(gipc_process_stop_group(it.p, 30));
    all_are_gone(&it);
    CHECK_IS(end_of(it.p), -SIGTERM);
  }
}

static void a_stop_without_grace_kills_the_group(void **state) {
  struct group_of_two it = start_group(true, GIPC_GROUP_NEW);
  CHECK_OK(gipc_process_stop_group(it.p, 0));
  all_are_gone(&it);
  int code = end_of(it.p);
  CHECK(code == -SIGTERM || code == -SIGKILL);
}

/* Its child answers each byte. */
/* argument: whether one stays in the group of its own that the child leaves. */
static int leave_group(struct ev_loop *fresh, void *argument) {
  if (argument != NULL && fork() == 0) {
    CHECK(write(1, "x", 1) == 1);
    for (;;)
      pause();
  }
  CHECK_OK(setpgid(0, getpgid(getppid())));
  CHECK(write(1, "x", 1) == 1);
  return wait_for_signal(fresh, NULL);
}

static void a_leader_that_has_left_its_group_is_stopped_with_it(void **state) {
  for (int others = 0; others <= 1; others++) {
    struct group_of_two it;
    char bytes[2];
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
    CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
    it.p = start(leave_group, others != 0 ? INT(1) : NULL, o);
    gipc_options_free(o);
    it.alive = gipc_process_stdio(it.p, 1);
    CHECK(read_all(it.alive, bytes, 1 + (size_t)others));
    CHECK_OK(gipc_process_stop_group(it.p, 0.05));
    all_are_gone(&it);
    CHECK_IS(end_of(it.p), others != 0 ? -SIGKILL : -SIGTERM);
  }
}

static int have_answering_child(struct ev_loop *fresh, void *argument) {
  char byte;
  if (fork() == 0) {
    while (read(0, &byte, 1) == 1)
      CHECK(write(1, &byte, 1) == 1);
    _exit(0);
  }
  return wait_for_signal(fresh, NULL);
}

static void
a_group_whose_leader_another_reaper_reaped_is_not_signalled(void **state) {
  /* H47: another process may have the process ID now. */
  gipc_options *o = new_options();
  int status;
  char byte = 'a';
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
  gipc_process *p = start(have_answering_child, NULL, o);
  gipc_options_free(o);
  int to = gipc_process_stdio(p, 0), from = gipc_process_stdio(p, 1);
  CHECK(write(to, "x", 1) == 1 && read(from, &byte, 1) == 1);
  pid_t pid = gipc_process_pid(p);
  CHECK_OK(kill(pid, SIGKILL));
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK_OK(gipc_process_stop_group(p, 0));
  CHECK(write(to, "y", 1) == 1);
  CHECK_IS((long)read(from, &byte, 1), 1);
  CHECK(byte == 'y');
  close(to);
  CHECK_IS((long)read(from, &byte, 1), 0);
  close(from);
  gipc_process_free(p);
}

static void note_end(gipc_process *p, void *user) { *(bool *)user = true; }

static void stop_on_loop(struct ev_loop *loop) {
  struct group_of_two it = start_group(true, GIPC_GROUP_NEW);
  bool ended = false;
  CHECK_OK(gipc_process_watch(it.p, loop, note_end, &ended));
  CHECK_OK(gipc_process_begin_stop_group(it.p, 30));
  while (!ended)
    ev_run(loop, EVRUN_ONCE);
  all_are_gone(&it);
  CHECK_IS(end_of(it.p), -SIGTERM);
}

static void a_loop_stops_a_group_without_waiting(void **state) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  stop_on_loop(loop);
  ev_loop_destroy(loop);
  /* The default loop reaps every child first. */
  stop_on_loop(ev_default_loop(EVFLAG_AUTO));
  ev_loop_destroy(ev_default_loop(EVFLAG_AUTO));
}

static void a_group_that_is_shared_is_not_signalled(void **state) {
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  CHECK_IS(gipc_process_signal_group(p, SIGTERM), -EINVAL);
  CHECK_IS(gipc_process_stop_group(p, 1), -EINVAL);
  CHECK_IS(gipc_process_begin_stop_group(p, 1), -EINVAL);
  CHECK_IS(gipc_process_is_alive(p), 1);
  destroy(p);
  struct group_of_two it = start_group(false, GIPC_GROUP_NEW);
  CHECK_IS(gipc_process_signal_group(it.p, -1), -EINVAL);
  CHECK_IS(gipc_process_signal_group(it.p, NSIG), -EINVAL);
  CHECK_IS(gipc_process_stop_group(it.p, -1), -EINVAL);
  CHECK_IS(gipc_process_begin_stop_group(it.p, 1), -EINVAL); /* unwatched */
  CHECK_IS(gipc_process_signal_group(NULL, SIGTERM), -EINVAL);
  CHECK_IS(gipc_process_stop_group(NULL, 1), -EINVAL);
  CHECK_IS(gipc_process_begin_stop_group(NULL, 1), -EINVAL);
  CHECK_OK(gipc_process_stop_group(it.p, 30));
  all_are_gone(&it);
  gipc_process_free(it.p);
}

/* ---- Options that are used again ------------------------------------------
 */

static int put_letter(struct ev_loop *fresh, void *argument) {
  return gipc_put(argument, "a", 1, -1) == 0 ? 0 : 1;
}

static void options_with_cleared_handles_start_another_child(void **state) {
  gipc_options *o = new_options();
  for (int i = 0; i < 3; i++) {
    gipc_handle *r, *w;
    const void *data;
    size_t size;
    CHECK_OK(gipc_pipe(&r, &w));
    CHECK_OK(gipc_options_pass(o, "same", w));
    gipc_process *p = start(put_letter, w, o);
    CHECK_OK(gipc_get(r, -1, &data, &size));
    CHECK_IS((long)size, 1);
    CHECK_IS(end_of(p), 0);
    gipc_process *none = NULL;
    /* Without gipc_options_clear_passed() the start fails. */
    CHECK_IS(gipc_start_process(put_letter, w, o, &none), GIPC_ECLOSED);
    CHECK(none == NULL);
    gipc_handle_free(w);
    gipc_handle_free(r);
    CHECK_OK(gipc_options_clear_passed(o));
  }
  CHECK_IS(gipc_options_clear_passed(NULL), -EINVAL);
  gipc_options_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_signal_to_the_group_reaches_all_of_it),
      TEST(a_group_is_reached_until_its_leader_is_reaped),
      TEST(a_stop_of_the_group_ends_those_that_ignore_it),
      TEST(a_stop_without_grace_kills_the_group),
      TEST(a_leader_that_has_left_its_group_is_stopped_with_it),
      TEST(a_group_whose_leader_another_reaper_reaped_is_not_signalled),
      TEST(a_loop_stops_a_group_without_waiting),
      TEST(a_group_that_is_shared_is_not_signalled),
      TEST(options_with_cleared_handles_start_another_child),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
