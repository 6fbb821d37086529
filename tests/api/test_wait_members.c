/* Wait sets whose members are closed, freed, started or passed; wrong
 * arguments; forks. */
#include "support_process.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

static gipc_wait_set *set;
static gipc_handle *r, *w;

static int setup(void **state) {
  int result = test_setup(state);
  result = result != 0 ? result : gipc_wait_set_new(&set);
  return result != 0 ? result : gipc_pipe(&r, &w);
}

static int end(void **state) {
  gipc_wait_set_free(set);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return test_end(state);
}

static int next(gipc_handle **handle, gipc_process **process) {
  int directions;
  return gipc_wait_set_next(set, handle, process, &directions);
}

static void a_closed_handle_is_ready_until_it_is_removed(void **state) {
  const void *data;
  size_t size;
  gipc_handle *h;
  gipc_process *p;
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_OK(gipc_close(r));
  CHECK_IS(gipc_wait(set, -1), 1);
  CHECK_OK(next(&h, &p));
  CHECK(h == r);
  CHECK_IS(gipc_get(h, -1, &data, &size), GIPC_ECLOSED);
  CHECK_OK(gipc_wait_set_remove_handle(set, r));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_IS(gipc_wait_set_add_handle(set, r, GIPC_READ), GIPC_ECLOSED);
}

static void a_freed_handle_leaves_its_sets(void **state) {
  gipc_wait_set *other;
  gipc_handle *h;
  gipc_process *p;
  CHECK_OK(gipc_wait_set_new(&other));
  CHECK_OK(gipc_wait_set_add_handle(other, r, GIPC_READ));
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_OK(gipc_wait_set_add_handle(set, w, GIPC_WRITE));
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_IS(gipc_wait(other, 0), 1);
  CHECK_IS(gipc_wait(set, 0), 2);
  gipc_handle_free(r);
  r = NULL;
  CHECK_OK(next(&h, &p)); /* freed between the wait and the call of next */
  CHECK(h == w);
  CHECK_IS(next(&h, &p), -EAGAIN);
  CHECK_IS(gipc_wait(other, 0), -ETIMEDOUT);
  CHECK_IS(gipc_wait(set, 0), 1);
  gipc_handle_free(w);
  w = NULL;
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  gipc_wait_set_free(other);
}

/* Its queue is written in the background, but the set does not list it. */
static void a_handle_that_is_freed_on_its_loop_leaves_its_sets(void **state) {
  static char block[60 * 1000];
  const gipc_events none = {sizeof none, NULL, NULL, NULL};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  CHECK_OK(gipc_wait_set_add_handle(set, w, GIPC_WRITE));
  CHECK_OK(gipc_start(w, loop, &none, NULL));
  while (gipc_try_put(w, block, sizeof block) == 0)
    ;
  gipc_handle_free(w);
  w = NULL;
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_OK(gipc_close(r));
  CHECK_OK(ev_run(loop, 0));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  ev_loop_destroy(loop);
}

static void a_set_is_freed_before_its_members(void **state) {
  gipc_wait_set *other;
  CHECK_OK(gipc_wait_set_new(&other));
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_OK(gipc_wait_set_add_handle(other, r, GIPC_READ));
  gipc_wait_set_free(other);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_IS(gipc_wait(set, 0), 1);
  gipc_wait_set_free(NULL);
}

/* A process that runs on without its object, and one that has ended. */
static void a_freed_process_leaves_its_sets(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, NULL, w));
  gipc_process *runs = start(wait_for_signal, NULL, o);
  pid_t pid = gipc_process_pid(runs);
  gipc_process *p = start(return_argument, INT(0), NULL);
  CHECK_OK(gipc_wait_set_add_process(set, runs));
  CHECK_OK(gipc_wait_set_add_process(set, p));
  CHECK_OK(gipc_process_join(p, -1));
  CHECK_IS(gipc_wait(set, -1), 1);
  gipc_process_free(p);
  gipc_process_free(runs);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_OK(kill(pid, SIGKILL));
  siginfo_t info;
  CHECK_OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  while (has_children())
    gipc_process_free(NULL); /* reaps it */
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  gipc_options_free(o);
}

static void
members_can_be_added_and_removed_between_two_calls_of_next(void **state) {
  enum { pipes = 40 };
  gipc_handle *in[pipes], *out[pipes], *h;
  gipc_process *p;
  unsigned seen = 0;
  for (int i = 0; i < pipes; i++) {
    CHECK_OK(gipc_pipe(&in[i], &out[i]));
    CHECK_OK(gipc_put(out[i], "x", 1, -1));
    if (i < pipes / 2)
      CHECK_OK(gipc_wait_set_add_handle(set, in[i], GIPC_READ));
  }
  CHECK_IS(gipc_wait(set, -1), pipes / 2);
  while (next(&h, &p) == 0) {
    CHECK(h == in[seen]);
    /* Replaces each returned member by a new one, which this wait does not
     * return. */
    CHECK_OK(gipc_wait_set_add_handle(set, in[pipes / 2 + seen], GIPC_READ));
    if (seen++ % 2 == 0)
      CHECK_OK(gipc_wait_set_remove_handle(set, h));
    else
      gipc_handle_free(h);
  }
  CHECK_IS(seen, pipes / 2);
  CHECK_IS(gipc_wait(set, -1), pipes / 2);
  for (int i = 0; i < pipes; i++) {
    if (i >= pipes / 2 || i % 2 == 0)
      gipc_handle_free(in[i]);
    gipc_handle_free(out[i]);
  }
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {}

static void a_started_handle_is_not_ready(void **state) {
  const gipc_events events = {sizeof events, on_message, NULL, NULL};
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  const void *data;
  size_t size;
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  for (int i = 0; i < 2; i++)
    CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_try_get(r, &data, &size)); /* the other is in memory */
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_OK(gipc_start(r, loop, &events, NULL));
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK_OK(gipc_wait_set_remove_handle(set, r));
  CHECK_IS(gipc_wait_set_add_handle(set, r, GIPC_READ), GIPC_ELOCKED);
  CHECK_OK(gipc_stop(r));
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  CHECK_IS(gipc_wait(set, 0), 1);
  ev_loop_destroy(loop);
}

static void wrong_arguments_change_nothing(void **state) {
  gipc_handle *h = w;
  gipc_process *p = (gipc_process *)&set;
  int directions = 77;
  CHECK_IS(gipc_wait_set_new(NULL), -EINVAL);
  CHECK_IS(gipc_wait_set_add_handle(NULL, r, GIPC_READ), -EINVAL);
  CHECK_IS(gipc_wait_set_add_handle(set, NULL, GIPC_READ), -EINVAL);
  CHECK_IS(gipc_wait_set_add_handle(set, r, 0), -EINVAL);
  CHECK_IS(gipc_wait_set_add_handle(set, r, 4), -EINVAL);
  CHECK_IS(gipc_wait_set_add_handle(set, r, -1), -EINVAL);
  CHECK_IS(gipc_wait_set_add_handle(set, r, GIPC_WRITE), GIPC_EDIRECTION);
  CHECK_IS(gipc_wait_set_add_handle(set, r, GIPC_READ | GIPC_WRITE),
           GIPC_EDIRECTION);
  CHECK_IS(gipc_wait_set_add_process(NULL, p), -EINVAL);
  CHECK_IS(gipc_wait_set_add_process(set, NULL), -EINVAL);
  CHECK_IS(gipc_wait_set_remove_handle(NULL, r), -EINVAL);
  CHECK_IS(gipc_wait_set_remove_handle(set, NULL), -EINVAL);
  CHECK_IS(gipc_wait_set_remove_handle(set, r), -ENOENT);
  CHECK_IS(gipc_wait_set_remove_process(NULL, p), -EINVAL);
  CHECK_IS(gipc_wait_set_remove_process(set, NULL), -EINVAL);
  CHECK_IS(gipc_wait(NULL, 0), -EINVAL);
  CHECK_IS(gipc_wait(set, NAN), -EINVAL);
  CHECK_IS(gipc_wait_set_wake(NULL), -EINVAL);
  CHECK_IS(gipc_wait_set_next(NULL, &h, &p, &directions), -EINVAL);
  CHECK_IS(gipc_wait_set_next(set, NULL, &p, &directions), -EINVAL);
  CHECK_IS(gipc_wait_set_next(set, &h, NULL, &directions), -EINVAL);
  CHECK_IS(gipc_wait_set_next(set, &h, &p, NULL), -EINVAL);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
  CHECK(h == w && p == (gipc_process *)&set && directions == 77);
}

/* ---- User pointers --------------------------------------------------------
 */

static int user_in_child(struct ev_loop *fresh, void *h) {
  return gipc_handle_user(h) == &set ? 0 : 1;
}
static int user_in_fork(void *argument) {
  return gipc_handle_set_user(r, NULL) == GIPC_EWRONGPROC ? 0 : 1;
}
static void a_pointer_of_the_program_stays_with_its_object(void **state) {
  gipc_options *o = new_options();
  gipc_process *p;
  CHECK(gipc_handle_user(NULL) == NULL && gipc_process_user(NULL) == NULL);
  CHECK_IS(gipc_handle_set_user(NULL, &set), -EINVAL);
  CHECK_IS(gipc_process_set_user(NULL, &set), -EINVAL);
  CHECK(gipc_handle_user(r) == NULL);
  CHECK_OK(gipc_handle_set_user(r, &set));
  in_own_fork(user_in_fork, NULL);
  CHECK_OK(gipc_options_pass(o, NULL, r));
  p = start(user_in_child, r, o);
  CHECK(gipc_handle_user(r) == &set); /* closed here, but not forgotten */
  CHECK(gipc_process_user(p) == NULL);
  CHECK_OK(gipc_process_set_user(p, o));
  CHECK(gipc_process_user(p) == o);
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
}

/* ---- Forks ----------------------------------------------------------------
 */

static int use_in_fork(void *argument) {
  gipc_handle *h;
  gipc_process *p;
  return gipc_wait(set, 0) == GIPC_EWRONGPROC &&
                 gipc_wait_set_wake(set) == GIPC_EWRONGPROC &&
                 next(&h, &p) == GIPC_EWRONGPROC &&
                 gipc_wait_set_add_handle(set, r, GIPC_READ) ==
                     GIPC_EWRONGPROC &&
                 gipc_wait_set_remove_handle(set, r) == GIPC_EWRONGPROC
             ? 0
             : 1;
}
static int free_in_fork(void *argument) {
  int fds = count_fds();
  gipc_wait_set_free(set);
  return count_fds() == fds ? 0 : 1;
}
static int use_in_child(struct ev_loop *fresh, void *argument) {
  int fds = count_fds();
  int result = use_in_fork(NULL);
  gipc_handle_free(r);
  gipc_wait_set_free(set);
  CHECK_IS(count_fds(), fds);
  /* A set of its own. */
  CHECK_OK(gipc_wait_set_new(&set));
  CHECK_OK(gipc_wait_set_wake(set));
  CHECK_IS(gipc_wait(set, -1), -ECANCELED);
  gipc_wait_set_free(set);
  return result;
}

/* The sockets that a set makes, known by their inodes. */
static ino_t made[2];
static int count_made(void) {
  int fds[64], count = list_fds(fds, 64), found = 0;
  struct stat info;
  for (int i = 0; i < count; i++)
    if (fstat(fds[i], &info) == 0)
      found += info.st_ino == made[0] || info.st_ino == made[1];
  return found;
}
static int has_none_of_them(struct ev_loop *fresh, void *argument) {
  return count_made();
}
static void a_child_has_none_of_the_sets_descriptors(void **state) {
  int before[64], count, found = 0;
  gipc_wait_set *other;
  int old = list_fds(before, 64);
  CHECK_OK(gipc_wait_set_new(&other));
  int after[64];
  count = list_fds(after, 64);
  for (int i = 0, j = 0; i < count; i++) {
    struct stat info;
    if (j < old && before[j] == after[i]) {
      j++;
    } else if (fstat(after[i], &info) == 0 && found < 2) {
      CHECK((fcntl(after[i], F_GETFD) & FD_CLOEXEC) != 0);
      made[found++] = info.st_ino;
    }
  }
  CHECK_IS(found, 2);
  CHECK_IS(count_made(), 2);
  CHECK_IS(in_child(has_none_of_them, NULL, NULL), 0);
  gipc_wait_set_free(other);
}

static void a_set_belongs_to_one_process(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  in_own_fork(use_in_fork, NULL);
  in_own_fork(free_in_fork, NULL);
  CHECK_IS(in_child(use_in_child, NULL, o), 0);
  CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT); /* no wake */
  CHECK_OK(gipc_put(w, "x", 1, -1));
  CHECK_IS(gipc_wait(set, 0), 1);
  gipc_options_free(o);
}

#define SET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      SET_TEST(a_closed_handle_is_ready_until_it_is_removed),
      SET_TEST(a_freed_handle_leaves_its_sets),
      SET_TEST(a_handle_that_is_freed_on_its_loop_leaves_its_sets),
      SET_TEST(a_set_is_freed_before_its_members),
      SET_TEST(a_freed_process_leaves_its_sets),
      SET_TEST(members_can_be_added_and_removed_between_two_calls_of_next),
      SET_TEST(a_started_handle_is_not_ready),
      SET_TEST(wrong_arguments_change_nothing),
      SET_TEST(a_pointer_of_the_program_stays_with_its_object),
      SET_TEST(a_child_has_none_of_the_sets_descriptors),
      SET_TEST(a_set_belongs_to_one_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
