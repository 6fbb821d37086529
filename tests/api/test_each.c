/* All handles and processes of a program: gipc_each_handle() and _process(). */
#include "support_ring.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* What was seen, in order. */
struct seen {
  size_t count;
  gipc_handle_entry handles[16];
  gipc_process_entry processes[16];
  char names[16][64];
};

static int add_handle(const gipc_handle_entry *entry, void *user) {
  struct seen *seen = user;
  CHECK(entry->size == sizeof *entry && seen->count < 16);
  seen->handles[seen->count++] = *entry;
  return 0;
}

static int add_process(const gipc_process_entry *entry, void *user) {
  struct seen *seen = user;
  CHECK(entry->size == sizeof *entry && seen->count < 16);
  snprintf(seen->names[seen->count], sizeof seen->names[0], "%s", entry->name);
  seen->processes[seen->count++] = *entry;
  return 0;
}

static gipc_handle_entry look_at(const gipc_handle *h) {
  struct seen seen = {0};
  CHECK_OK(gipc_each_handle(add_handle, &seen));
  for (size_t i = 0; i < seen.count; i++)
    if (seen.handles[i].handle == h)
      return seen.handles[i];
  CHECK(!"it is there");
  return seen.handles[0];
}

static gipc_process_entry only_process(char (*name)[64]) {
  struct seen seen = {0};
  CHECK_OK(gipc_each_process(add_process, &seen));
  CHECK_IS(seen.count, 1);
  memcpy(*name, seen.names[0], sizeof *name);
  return seen.processes[0];
}

/* ---- Handles ------------------------------------------------------------ */

static void handles_are_listed_until_they_are_freed(void **state) {
  gipc_handle *r, *w, *a, *b;
  struct seen seen = {0};
  OK(gipc_each_handle(add_handle, &seen));
  assert_int_equal(seen.count, 0);
  OK(gipc_pipe(&r, &w));
  OK(gipc_pipe_duplex(&a, &b));
  OK(gipc_each_handle(add_handle, &seen));
  assert_int_equal(seen.count, 4);
  const gipc_handle *expected[] = {r, w, a, b};
  const int directions[] = {GIPC_READ, GIPC_WRITE, 3, 3};
  for (int i = 0; i < 4; i++) {
    const gipc_handle_entry *e = &seen.handles[i];
    assert_ptr_equal(e->handle, expected[i]);
    assert_int_equal(e->directions, directions[i]);
    assert_int_equal(e->state, GIPC_HANDLE_OPEN);
    assert_true(i == 0 || e->id > seen.handles[i - 1].id);
    assert_true(e->age >= 0 && e->age < 1000);
    assert_false(e->on_loop || e->busy || e->end_in || e->end_out);
  }
  assert_int_equal(seen.handles[0].pair, seen.handles[1].pair);
  assert_int_not_equal(seen.handles[0].pair, seen.handles[2].pair);
  assert_int_equal(seen.handles[0].read_fd, gipc_fd(r, GIPC_READ));
  assert_int_equal(seen.handles[0].write_fd, -1);
  OK(gipc_close(w));
  assert_int_equal(look_at(w).state, GIPC_HANDLE_CLOSED);
  gipc_handle_free(w);
  gipc_handle_free(r);
  gipc_handle_free(a);
  gipc_handle_free(b);
  seen.count = 0;
  OK(gipc_each_handle(add_handle, &seen));
  assert_int_equal(seen.count, 0);
}

static void counters_and_bytes_are_those_of_the_handle(void **state) {
  gipc_handle *r, *w;
  const void *data;
  size_t size, bytes;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  for (int i = 0; i < 3; i++)
    OK(gipc_put(w, "12345", 5, 1));
  OK(gipc_try_put(w, "67", 2));
  gipc_handle_entry of_w = look_at(w), of_r = look_at(r);
  assert_int_equal(of_w.messages_out, 4);
  assert_int_equal(of_w.bytes_out, 27);
  assert_int_equal(of_w.queued, 6);
  assert_int_equal(of_r.messages_in, 0);
  assert_int_equal(of_r.unread, 27); /* in the kernel */
  OK(gipc_flush_step(w));
  OK(gipc_get(r, 1, &data, &size));
  of_r = look_at(r);
  OK(gipc_pending(r, GIPC_READ, &bytes));
  assert_int_equal(bytes, 24); /* read ahead */
  assert_int_equal(of_r.unread, 24);
  assert_int_equal(of_r.messages_in, 1);
  assert_int_equal(of_r.bytes_in, 33);
  assert_int_equal(look_at(w).queued, 0);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_borrowed_message_counts_as_queued(void **state) {
  gipc_handle *r, *w;
  size_t size = 4 << 20;
  char *text = calloc(1, size);
  OK(gipc_pipe(&r, &w));
  RESULT(gipc_put_start(w, text, size), -EAGAIN);
  gipc_handle_entry e = look_at(w);
  assert_true(e.busy);
  assert_true(e.queued > 0 && e.queued + e.bytes_out == size + 4);
  OK(gipc_put_cancel(w) == 1 ? 0 : 1);
  assert_false(look_at(w).busy);
  gipc_handle_free(r);
  gipc_handle_free(w);
  free(text);
}

static void the_last_use_is_known_from_the_first_look_on(void **state) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  assert_true(look_at(r).idle == -1);
  OK(gipc_put(w, "1", 1, 1));
  assert_true(look_at(w).idle >= 0);
  assert_true(look_at(r).idle == -1);
  OK(gipc_try_get(r, &data, &size));
  assert_true(look_at(r).idle >= 0 && look_at(r).idle <= look_at(r).age);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static bool has_rings(void) {
  const char *os = getenv("GIPC_TEST_OS");
  return os == NULL || strcmp(os, "posix") != 0;
}

static void each_transport_has_its_name(void **state) {
  if (!has_rings())
    skip_because("no rings");
  gipc_handle *r, *w, *h;
  int pipes[2];
  make_ring(&r, &w);
  assert_int_equal(look_at(r).transport_in, GIPC_TRANSPORT_RING);
  assert_int_equal(look_at(w).transport_out, GIPC_TRANSPORT_RING);
  assert_int_equal(look_at(w).transport_in, 0);
  put_number(w, 1);
  assert_int_equal(look_at(r).unread, 8);
  get_number(r, 1);
  assert_int_equal(look_at(r).unread, 0);
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  assert_int_equal(look_at(w).transport_out, GIPC_TRANSPORT_SOCKET);
  assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
  OK(gipc_open(pipes[0], pipes[1], &h));
  assert_int_equal(look_at(h).transport_in, GIPC_TRANSPORT_PIPE);
  gipc_handle_free(h);
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  OK(gipc_open(tcp, -1, &h));
  assert_int_equal(look_at(h).transport_in, GIPC_TRANSPORT_NETWORK);
  gipc_handle_free(h);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void drop(gipc_handle *h, const void *data, size_t size, void *user) {}

static void ends_and_loops_are_seen(void **state) {
  gipc_handle *r, *w;
  struct ev_loop *loop = ev_loop_new(0);
  gipc_events events = {sizeof events, drop, NULL, NULL};
  OK(gipc_pipe(&r, &w));
  OK(gipc_start(w, loop, &events, NULL));
  assert_true(look_at(w).on_loop);
  assert_false(look_at(r).on_loop);
  OK(gipc_stop(w));
  assert_false(look_at(w).on_loop);
  gipc_handle_free(r);
  RESULT(gipc_put(w, "1", 1, 1), -EPIPE);
  assert_int_equal(look_at(w).end_out, -EPIPE);
  assert_int_equal(look_at(w).state, GIPC_HANDLE_ENDED);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
}

/* ---- Processes ---------------------------------------------------------- */

static void a_process_is_listed_until_it_is_freed(void **state) {
  char name[64];
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_name(o, "a child"));
  gipc_process *p = start(wait_for_signal, NULL, o);
  gipc_process_entry e = only_process(&name);
  assert_string_equal(name, "a child");
  assert_ptr_equal(e.process, p);
  assert_int_equal(e.pid, gipc_process_pid(p));
  assert_int_equal(e.state, GIPC_PROCESS_RUNNING);
  assert_int_equal(e.code, -1);
  assert_true(e.age >= 0 && !e.on_loop && e.id > 0);
  OK(gipc_process_signal(p, SIGKILL));
  assert_true(gone_within(e.pid, 60));
  assert_int_equal(only_process(&name).state, GIPC_PROCESS_ENDED);
  OK(gipc_process_join(p, -1));
  e = only_process(&name);
  assert_int_equal(e.state, GIPC_PROCESS_REAPED);
  assert_int_equal(e.signal, SIGKILL);
  gipc_process_free(p);
  gipc_options_free(o);
  struct seen seen = {0};
  OK(gipc_each_process(add_process, &seen));
  assert_int_equal(seen.count, 0);
}

static int count_in_child(struct ev_loop *fresh, void *argument) {
  struct seen handles = {0}, processes = {0};
  CHECK_OK(gipc_each_handle(add_handle, &handles));
  CHECK_OK(gipc_each_process(add_process, &processes));
  CHECK_IS(processes.count, 0);
  CHECK(handles.count == 0 || handles.handles[0].handle == argument);
  return (int)handles.count;
}

static void a_child_has_only_what_was_passed_to_it(void **state) {
  gipc_handle *r, *w, *other, *another;
  gipc_options *o = new_options();
  OK(gipc_pipe(&r, &w));
  OK(gipc_pipe(&other, &another));
  OK(gipc_options_pass(o, "r", r));
  assert_int_equal(in_child(count_in_child, r, o), 1);
  assert_int_equal(look_at(r).state, GIPC_HANDLE_CLOSED);
  gipc_handle *all[] = {r, w, other, another};
  for (int i = 0; i < 4; i++)
    gipc_handle_free(all[i]);
  gipc_options_free(o);
}

/* ---- Callbacks ---------------------------------------------------------- */

static int free_all(const gipc_handle_entry *entry, void *user) {
  gipc_handle **handles = user;
  for (int i = 0; i < 2; i++) {
    gipc_handle_free(handles[i]);
    handles[i] = NULL;
  }
  return 0;
}
static int stop_at_once(const gipc_handle_entry *entry, void *user) {
  ++*(int *)user;
  return 42;
}

static void callbacks_may_free_and_may_stop(void **state) {
  gipc_handle *both[2];
  int calls = 0;
  OK(gipc_pipe(&both[0], &both[1]));
  RESULT(gipc_each_handle(stop_at_once, &calls), 42);
  assert_int_equal(calls, 1);
  OK(gipc_each_handle(free_all, both));
  RESULT(gipc_each_handle(NULL, NULL), -EINVAL);
  RESULT(gipc_each_process(NULL, NULL), -EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(handles_are_listed_until_they_are_freed),
      TEST(counters_and_bytes_are_those_of_the_handle),
      TEST(a_borrowed_message_counts_as_queued),
      TEST(the_last_use_is_known_from_the_first_look_on),
      TEST(each_transport_has_its_name),
      TEST(ends_and_loops_are_seen),
      TEST(a_process_is_listed_until_it_is_freed),
      TEST(a_child_has_only_what_was_passed_to_it),
      TEST(callbacks_may_free_and_may_stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
