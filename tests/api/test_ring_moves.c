/* Handles that use a ring, and are passed to a child, started on a loop, or
 * waited for in a set. */
#include "support_ring.h"

#include <sys/mman.h>
#include <sys/resource.h>

static gipc_handle *r, *w;
static const void *data;
static size_t size;

static void make_pipe(void) { make_ring(&r, &w); }

static void free_pipe(void) {
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static gipc_process *start_with(target_function target, void *argument,
                                gipc_handle *passed, gipc_handle *also) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", passed));
  if (also != NULL)
    CHECK_OK(gipc_options_pass(o, "also", also));
  gipc_process *p = start(target, argument, o);
  gipc_options_free(o);
  return p;
}

/* ---- Function children ----------------------------------------------------
 */

static int get_numbers(struct ev_loop *fresh, void *argument) {
  CHECK_IS(transport(argument, GIPC_READ), GIPC_TRANSPORT_RING);
  for (uint32_t i = 10; i < 3000; i++)
    get_number(argument, i);
  CHECK_IS(gipc_get(argument, 20, &data, &size), GIPC_EOF);
  gipc_handle_free(argument);
  return 7;
}

static void a_reader_is_passed_with_what_is_in_its_ring(void **state) {
  make_pipe();
  for (uint32_t i = 9; i < 500; i++)
    put_number(w, i);
  get_number(r, 9); /* and some are in the read-ahead buffer */
  gipc_process *p = start_with(get_numbers, r, r, NULL);
  CHECK_IS(gipc_get(r, 0, &data, &size), GIPC_ECLOSED);
  for (uint32_t i = 500; i < 3000; i++)
    put_number(w, i);
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_RING);
  CHECK_OK(gipc_close(w));
  CHECK_IS(end_of(p), 7);
  free_pipe();
}

static int put_numbers(struct ev_loop *fresh, void *argument) {
  CHECK_IS(transport(argument, GIPC_WRITE), GIPC_TRANSPORT_RING);
  for (uint32_t i = 500; i < 3000; i++)
    put_number(argument, i);
  return 8; /* its end closes the handle */
}

static void a_writer_is_passed_with_its_ring(void **state) {
  make_pipe();
  for (uint32_t i = 0; i < 500; i++)
    put_number(w, i);
  gipc_process *p = start_with(put_numbers, w, w, NULL);
  for (uint32_t i = 0; i < 3000; i++)
    get_number(r, i);
  CHECK_IS(gipc_get(r, 20, &data, &size), GIPC_EOF);
  CHECK_IS(end_of(p), 8);
  free_pipe();
}

static int use_both(struct ev_loop *fresh, void *argument) {
  for (uint32_t i = 0; i < 100; i++)
    get_number(r, i);
  for (uint32_t i = 0; i < 3000; i++) {
    put_number(w, i);
    get_number(r, i);
  }
  CHECK_IS(transport(r, GIPC_READ), GIPC_TRANSPORT_RING);
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_RING);
  gipc_handle_free(w);
  CHECK_IS(gipc_get(r, 20, &data, &size), GIPC_EOF);
  gipc_handle_free(r);
  return 9;
}

static void both_ends_are_passed(void **state) {
  make_pipe();
  for (uint32_t i = 0; i < 100; i++)
    put_number(w, i);
  CHECK_IS(end_of(start_with(use_both, NULL, r, w)), 9);
  free_pipe();
}

static int leave_at_once(struct ev_loop *fresh, void *argument) { return 3; }

static void
a_child_that_is_not_passed_the_handle_changes_nothing(void **state) {
  make_pipe();
  put_number(w, 1);
  CHECK_IS(in_child(leave_at_once, NULL, NULL), 3);
  pid_t pid = fork();
  if (pid == 0) { /* the application's own */
    CHECK_IS(gipc_put(w, "x", 1, 1), GIPC_EWRONGPROC);
    CHECK_IS(gipc_get(r, 1, &data, &size), GIPC_EWRONGPROC);
    gipc_handle_free(r);
    gipc_handle_free(w);
    _exit(0);
  }
  int status;
  CHECK_IS(waitpid(pid, &status, 0), pid);
  CHECK_IS(status, 0);
  get_number(r, 1);
  put_number(w, 2);
  get_number(r, 2);
  free_pipe();
}

static void a_failed_start_leaves_the_ring(void **state) {
  gipc_process *p;
  gipc_options *o = new_options();
  make_pipe();
  put_number(w, 1);
  CHECK_OK(gipc_options_pass(o, "it", r));
  CHECK_OK(gipc_options_set_cwd(o, "/no/such"));
  CHECK_IS(gipc_start_process(leave_at_once, NULL, o, &p), -ENOENT);
  const char *argv[] = {"/no/such", NULL};
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOENT);
  gipc_options_free(o);
  get_number(r, 1);
  for (uint32_t i = 0; i < 10; i++) {
    put_number(w, i);
    get_number(r, i);
  }
  CHECK_IS(transport(r, GIPC_READ), GIPC_TRANSPORT_RING);
  free_pipe();
}

/* ---- Programs -------------------------------------------------------------
 */

static void a_program_reads_on_where_its_parent_ended(void **state) {
  for (int way = 0; way < 3; way++) {
    gipc_handle *a, *b;
    gipc_options *o = new_options();
    CHECK_OK(gipc_pipe_duplex(&a, &b));
    use_ring(b, a);
    if (way > 0)
      use_ring(a, b);
    for (uint32_t i = 0; i < 100; i++)
      put_number(a, i); /* in the ring */
    CHECK_OK(gipc_options_pass(o, "it", b));
    gipc_process *p = execute(o, PROGRAM("child_answer"), "it", NULL);
    gipc_options_free(o);
    for (uint32_t i = 0; i < 100; i++)
      get_number(a, i);
    for (uint32_t i = 0; i < 3000; i++) {
      put_number(a, i);
      get_number(a, i);
    }
    CHECK_IS(transport(a, GIPC_WRITE), GIPC_TRANSPORT_RING);
    CHECK_OK(gipc_shutdown(a));
    CHECK_IS(end_of(p), 0);
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
}

static int pass_on(struct ev_loop *fresh, void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, "it", argument));
  gipc_process *p = execute(o, PROGRAM("child_answer"), "it", NULL);
  gipc_options_free(o);
  return end_of(p);
}

static void a_child_passes_it_on_to_a_program(void **state) {
  gipc_handle *a, *b;
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  use_ring(a, b);
  use_ring(b, a);
  for (uint32_t i = 0; i < 100; i++)
    put_number(a, i);
  gipc_process *p = start_with(pass_on, b, b, NULL);
  for (uint32_t i = 0; i < 100; i++)
    get_number(a, i);
  CHECK_OK(gipc_shutdown(a));
  CHECK_IS(end_of(p), 0);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

/* ---- Loops and sets -------------------------------------------------------
 */

struct counting {
  uint32_t next, last, paused;
  int why;
  struct ev_loop *loop;
};

static void count_message(gipc_handle *h, const void *message, size_t length,
                          void *user) {
  struct counting *c = user;
  CHECK_IS(length, sizeof c->next);
  CHECK(memcmp(message, &c->next, sizeof c->next) == 0);
  if (++c->next % 777 == 0) {
    CHECK_OK(gipc_pause(h));
    c->paused++;
    CHECK_OK(gipc_resume(h));
  }
  if (c->next == c->last)
    ev_break(c->loop, EVBREAK_ALL);
}

static void note_end(gipc_handle *h, int why, void *user) {
  ((struct counting *)user)->why = why;
}

static void a_loop_takes_a_ring_over_and_gives_it_back(void **state) {
  const gipc_events events = {sizeof events, count_message, NULL, note_end};
  struct counting c = {.loop = ev_loop_new(0)};
  make_pipe();
  for (uint32_t round = 0; round < 20; round++) {
    for (uint32_t i = 0; i < 1000; i++)
      put_number(w, round * 2000 + i);
    /* They are there before the start, which no descriptor says. */
    c.last = round * 2000 + 1000;
    CHECK_OK(gipc_start(r, c.loop, &events, &c));
    ev_run(c.loop, 0);
    /* A message for a loop that waits. */
    for (uint32_t i = 1000; i < 2000; i++) {
      ev_run(c.loop, EVRUN_NOWAIT);
      c.last = round * 2000 + i + 1;
      put_number(w, round * 2000 + i);
      ev_run(c.loop, 0);
    }
    CHECK_OK(gipc_stop(r));
    CHECK_IS(gipc_try_get(r, &data, &size), -EAGAIN);
  }
  CHECK_IS(transport(r, GIPC_READ), GIPC_TRANSPORT_RING);
  put_number(w, c.next);
  CHECK_OK(gipc_close(w));
  CHECK_OK(gipc_start(r, c.loop, &events, &c));
  ev_run(c.loop, 0);
  ev_run(c.loop, 0);
  CHECK_IS(c.why, GIPC_EOF);
  CHECK_IS(c.next, 40001);
  free_pipe();
  ev_loop_destroy(c.loop);
}

static void a_quiet_ring_does_not_wake_its_loop(void **state) {
  const gipc_events events = {sizeof events, count_message, NULL, note_end};
  struct counting c = {.loop = ev_loop_new(0)};
  make_pipe();
  CHECK_OK(gipc_start(r, c.loop, &events, &c));
  for (uint32_t i = 0; i < 10; i++) {
    put_number(w, i);
    while (c.next <= i)
      ev_run(c.loop, EVRUN_NOWAIT);
    ev_run(c.loop, EVRUN_NOWAIT);
    ev_run(c.loop, EVRUN_NOWAIT);
    gipc_stats before = {.size = sizeof before}, after = before;
    CHECK_OK(gipc_handle_stats(r, &before));
    for (int turn = 0; turn < 100; turn++)
      ev_run(c.loop, EVRUN_NOWAIT);
    CHECK_OK(gipc_handle_stats(r, &after));
    CHECK_IS(after.reads, before.reads);
    CHECK(!wait_fd(gipc_fd(r, GIPC_READ), POLLIN, 0));
  }
  free_pipe();
  ev_loop_destroy(c.loop);
}

/* What was received behind the mark is in memory, too: the loop would turn
 * without end, and deliver nothing. */
static void a_loop_delivers_what_came_with_the_mark(void **state) {
  const gipc_events events = {sizeof events, count_message, NULL, note_end};
  struct counting c = {.loop = ev_loop_new(0)};
  make_pipe(); /* a reader that waits would read the mark alone */
  CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  for (uint32_t i = 0; i < 3; i++)
    put_number(w, i);
  CHECK_IS(gipc_set_transport(r, GIPC_TRANSPORT_PLAIN), -EBUSY);
  CHECK_OK(gipc_start(r, c.loop, &events, &c));
  for (int turn = 0; turn < 100; turn++)
    ev_run(c.loop, EVRUN_NOWAIT);
  CHECK_IS(c.next, 3);
  free_pipe();
  ev_loop_destroy(c.loop);
}

static void a_set_sees_what_is_in_a_ring(void **state) {
  gipc_wait_set *set;
  CHECK_OK(gipc_wait_set_new(&set));
  make_pipe();
  CHECK_OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  for (uint32_t i = 0; i < 100; i++) {
    CHECK_IS(gipc_wait(set, 0), -ETIMEDOUT);
    put_number(w, i);
    put_number(w, i + 1);
    CHECK_IS(gipc_wait(set, -1), 1);
    get_number(r, i);
    CHECK_IS(gipc_wait(set, -1), 1);
    get_number(r, i + 1);
  }
  gipc_wait_set_free(set);
  free_pipe();
}

/* ---- Without memory -------------------------------------------------------
 */

static int use_pipe_within(struct ev_loop *fresh, void *argument) {
  struct rlimit limit;
  int resource = (int)(intptr_t)argument;
  CHECK_IS(getrlimit(resource, &limit), 0);
  limit.rlim_cur = 4096;
  if (resource == RLIMIT_AS) { /* what is mapped now, and little more */
    limit.rlim_cur = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    CHECK_IS(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    limit.rlim_cur = pages * 4096 + 128 * 1024;
  }
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
  CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  CHECK_IS(setrlimit(resource, &limit), 0);
  for (uint32_t i = 0; i < 100; i++) {
    put_number(w, i);
    get_number(r, i);
  }
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_PLAIN);
  return 0;
}

static void a_ring_that_cannot_be_had_leaves_the_pipe_plain(void **state) {
  int resources[] = {RLIMIT_FSIZE, RLIMIT_AS};
  for (int i = 0; i < 2; i++) {
    if (resources[i] == RLIMIT_AS && slow())
      continue; /* sanitizers map much */
    CHECK_IS(in_child(use_pipe_within, INT(resources[i]), NULL), 0);
  }
}

/* Whether this process may open one more descriptor. */
static void allow_descriptors(bool allowed) {
  static struct rlimit usual;
  struct rlimit limit;
  if (usual.rlim_max == 0)
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &usual), 0);
  limit = usual;
  if (!allowed)
    limit.rlim_cur = 3; /* not even a number that the end of a ring frees */
  CHECK_IS(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void exchange(uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    put_number(w, i);
    get_number(r, i);
  }
}

/* An offer comes with the first message, or with one behind the mark. */
static void get_an_offer(bool behind_mark, bool room, double timeout) {
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
  if (behind_mark) {
    use_ring(r, w);
    CHECK_IS(gipc_try_get(r, &data, &size), -EAGAIN);
    CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  }
  CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  put_number(w, 7);
  allow_descriptors(room);
  CHECK_OK(gipc_get(r, timeout, &data, &size));
  allow_descriptors(true);
  uint32_t number = 7;
  CHECK(size == sizeof number && memcmp(data, &number, size) == 0);
  exchange(500);
  CHECK_IS(transport(w, GIPC_WRITE),
           room ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN);
  exchange(1500); /* in which another offer is made */
  CHECK_IS(transport(w, GIPC_WRITE), GIPC_TRANSPORT_RING);
  CHECK_OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  use_ring(r, w); /* the next one finds room */
  free_pipe();
}

static int get_offers(struct ev_loop *fresh, void *argument) {
  static const double timeouts[] = {-1, 0, 20};
  for (int i = 0; i < 12; i++)
    get_an_offer(i % 2 == 1, i / 2 % 2 == 1, timeouts[i / 4]);
  return 0;
}

static void a_descriptor_without_room_leaves_the_stream_as_it_is(void **state) {
  not_under_valgrind(); /* the limit does not hold for what is received */
  CHECK_IS(in_child(get_offers, NULL, NULL), 0);
}

static void the_portable_half_has_no_rings(void **state) {
  gipc_handle *reader, *writer;
  OK(gipc_pipe(&reader, &writer));
  RESULT(gipc_set_transport(writer, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

int main(void) {
  const struct CMUnitTest plain[] = {TEST(the_portable_half_has_no_rings)};
  const struct CMUnitTest tests[] = {
      TEST(a_reader_is_passed_with_what_is_in_its_ring),
      TEST(a_writer_is_passed_with_its_ring),
      TEST(both_ends_are_passed),
      TEST(a_child_that_is_not_passed_the_handle_changes_nothing),
      TEST(a_failed_start_leaves_the_ring),
      TEST(a_program_reads_on_where_its_parent_ended),
      TEST(a_child_passes_it_on_to_a_program),
      TEST(a_loop_takes_a_ring_over_and_gives_it_back),
      TEST(a_quiet_ring_does_not_wake_its_loop),
      TEST(a_loop_delivers_what_came_with_the_mark),
      TEST(a_set_sees_what_is_in_a_ring),
      TEST(a_ring_that_cannot_be_had_leaves_the_pipe_plain),
      TEST(a_descriptor_without_room_leaves_the_stream_as_it_is),
  };
  if (portable())
    return cmocka_run_group_tests_name("ring moves", plain, NULL, NULL);
  return cmocka_run_group_tests_name("ring moves", tests, NULL, NULL);
}
