/* The life of a template: killed, replaced, stopped, freed, left alone; and the
 * descriptors of it and of its children. */
#include "support_process.h"

#include <fcntl.h>
#include <sched.h>

/* The children of this process, the oldest first. */
static int list_children(pid_t *pids, int most) {
  char path[64], text[4096], *at = text;
  int count = 0;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  if (access(path, R_OK) != 0)
    skip_because("the kernel does not list children");
  read_file(path, text, sizeof text);
  for (long pid; count < most && (pid = strtol(at, &at, 10)) > 0;)
    pids[count++] = (pid_t)pid;
  return count;
}

static int fds_of(pid_t pid) {
  char path[64];
  int count = 0;
  for (int fd = 0; fd < 1000; fd++) {
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    char target[8];
    count += readlink(path, target, sizeof target) > 0;
  }
  return count;
}

static void kill_and_wait(pid_t pid) {
  CHECK_OK(kill(pid, SIGKILL));
  siginfo_t info;
  CHECK_OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
}

static int at_start;

static int return_at_start(struct ev_loop *fresh, void *argument) {
  return at_start;
}

static void a_killed_template_is_replaced_by_its_spare(void **state) {
  pid_t pids[4];
  at_start = 3;
  gipc_template *t = new_template(NULL);
  at_start = 4;
  gipc_process *running = start_from(t, wait_for_signal, NULL, 0, NULL);
  for (size_t i = 0; i < many(100, 10); i++) {
    CHECK_IS(list_children(pids, 4), 3);
    /* In every second round, while the spare is not the youngest. */
    pid_t template = 0;
    for (int k = 0; template == 0; k++)
      if (pids[k] != gipc_process_pid(running))
        template = pids[k];
    kill_and_wait(template);
    CHECK_IS(run_from(t, return_at_start, NULL, 0, NULL), 3);
  }
  CHECK_IS(gipc_process_is_alive(running), 1);
  CHECK_OK(gipc_process_terminate(running));
  CHECK_IS(end_of(running), -SIGTERM);
  gipc_template_free(t);
}

static void a_killed_spare_is_replaced_at_the_next_start(void **state) {
  pid_t pids[4];
  gipc_template *t = new_template(NULL);
  CHECK_IS(list_children(pids, 4), 2);
  kill_and_wait(pids[1]);
  CHECK_IS(run_from(t, return_argument, INT(2), 0, NULL), 2);
  kill_and_wait(pids[0]);
  CHECK_IS(run_from(t, return_argument, INT(3), 0, NULL), 3);
  gipc_template_free(t);
}

static void without_template_and_spare_a_start_fails(void **state) {
  pid_t pids[4];
  gipc_process *p = NULL;
  gipc_template *t = new_template(NULL);
  CHECK_IS(list_children(pids, 4), 2);
  kill_and_wait(pids[0]);
  kill_and_wait(pids[1]);
  for (int i = 0; i < 2; i++)
    CHECK_IS(gipc_template_start(t, return_argument, NULL, 0, NULL, &p),
             GIPC_EDEAD);
  CHECK(p == NULL);
  CHECK(!has_children());
  gipc_template_free(t);
}

static void a_stopped_template_can_be_freed(void **state) {
  pid_t pids[4];
  gipc_template *t = new_template(NULL);
  CHECK_IS(list_children(pids, 4), 2);
  for (int i = 0; i < 2; i++)
    CHECK_OK(kill(pids[i], SIGSTOP));
  gipc_template_free(t);
  CHECK(!has_children());
}

static void signals_of_a_terminal_do_not_end_a_template(void **state) {
  pid_t pids[4];
  gipc_template *t = new_template(NULL);
  CHECK_IS(list_children(pids, 4), 2);
  for (int i = 0; i < 2; i++) {
    CHECK_OK(kill(pids[i], SIGINT));
    CHECK_OK(kill(pids[i], SIGTERM));
  }
  CHECK_IS(run_from(t, return_argument, INT(2), 0, NULL), 2);
  CHECK_IS(kill(pids[0], 0) | kill(pids[1], 0), 0);
  gipc_template_free(t);
}

/* ---- The death of the program -------------------------------------------- */

struct family {
  pid_t template, spare, child;
};

static int read_to_end(struct ev_loop *fresh, void *argument) {
  gipc_handle *r;
  const void *data;
  size_t size;
  CHECK_OK(gipc_inherit("r", &r));
  return gipc_get(r, -1, &data, &size) == GIPC_EOF ? 0 : 1;
}

static int found_a_family(void *argument) {
  int *ends = argument;
  struct family family;
  pid_t pids[4];
  gipc_handle *r, *w;
  close(ends[0]);
  gipc_template *t = NULL;
  CHECK_OK(gipc_template_new(NULL, &t));
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "r", r));
  gipc_process *p = start_from(t, read_to_end, NULL, 0, o);
  CHECK_IS(list_children(pids, 4), 3);
  family = (struct family){pids[0], pids[1], gipc_process_pid(p)};
  CHECK(write_all(ends[1], &family, sizeof family));
  pause();
  return 1;
}

static void a_template_ends_with_its_program(void **state) {
  int ends[2], status;
  struct family family;
  gipc_template_free(new_template(NULL));
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  fflush(NULL);
  pid_t pid = child_start(found_a_family, ends);
  close(ends[1]);
  CHECK(read_all(ends[0], &family, sizeof family));
  CHECK_OK(kill(pid, SIGKILL));
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK(gone_within(family.template, 100));
  CHECK(gone_within(family.spare, 100));
  /* The child ends by itself, with the stream whose writer was killed. */
  CHECK(gone_within(family.child, 100));
  close(ends[0]);
}

/* ---- Descriptors --------------------------------------------------------- */

static void descriptors_do_not_pile_up(void **state) {
  pid_t pids[4];
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_IS(list_children(pids, 4), 2);
  int fds = count_fds();
  const int template_fds = 5; /* stdio, the socket, the lifeline */
  /* It closes those of the program by itself. */
  for (double end = now() + 100; fds_of(pids[0]) != template_fds;) {
    CHECK(now() < end);
    sched_yield();
  }
  for (size_t i = 0; i < many(1000, 50); i++)
    CHECK_IS(run_from(t, return_argument, INT(1), 0, i % 2 ? o : NULL), 1);
  CHECK_IS(count_fds(), fds);
  /* It closes those of a request after it has answered. */
  while (fds_of(pids[0]) != template_fds)
    sched_yield();
  gipc_options_free(o);
  gipc_template_free(t);
}

static int wait_and_count(struct ev_loop *fresh, void *argument) {
  int fds[64];
  /* stdio, its socket to the parent, the loop. */
  int count = list_fds(fds, 64);
  return count <= 7 ? wait_for_signal(fresh, argument) : count;
}

static void ends_of_streams_come(void **state) {
  int before[2], after[2];
  char byte;
  gipc_handle *r, *w, *later_r, *later_w;
  const void *data;
  size_t size;
  gipc_template_free(new_template(NULL)); /* or skips */
  CHECK_OK(pipe2(before, O_CLOEXEC));
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_template *t = new_template(NULL);
  gipc_process *first = start_from(t, wait_and_count, NULL, 0, NULL);
  CHECK_OK(pipe2(after, O_CLOEXEC));
  CHECK_OK(gipc_pipe(&later_r, &later_w));
  gipc_process *p = start_from(t, wait_and_count, NULL, 0, NULL);
  close(before[1]);
  close(after[1]);
  CHECK_OK(gipc_close(w));
  CHECK_OK(gipc_close(later_w));
  CHECK_IS(gipc_get(r, 100, &data, &size), GIPC_EOF);
  CHECK_IS(gipc_get(later_r, 100, &data, &size), GIPC_EOF);
  CHECK(wait_fd(before[0], POLLIN, 100000));
  CHECK(wait_fd(after[0], POLLIN, 100000));
  CHECK_IS(read(before[0], &byte, 1), 0);
  CHECK_IS(read(after[0], &byte, 1), 0);
  for (gipc_process **one = (gipc_process *[]){first, p, NULL}; *one; one++) {
    CHECK_OK(gipc_process_terminate(*one));
    CHECK_IS(end_of(*one), -SIGTERM);
  }
  close(before[0]);
  close(after[0]);
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_handle_free(later_r);
  gipc_handle_free(later_w);
  gipc_template_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_killed_template_is_replaced_by_its_spare),
      TEST(a_killed_spare_is_replaced_at_the_next_start),
      TEST(without_template_and_spare_a_start_fails),
      TEST(a_stopped_template_can_be_freed),
      TEST(signals_of_a_terminal_do_not_end_a_template),
      TEST(a_template_ends_with_its_program),
      TEST(descriptors_do_not_pile_up),
      TEST(ends_of_streams_come),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
