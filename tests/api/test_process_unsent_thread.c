/* The end of a child whose peer reads nothing, or slowly: how long it waits,
 * and what it reports (H116, H127); an end inside a put (H114). */
#include "support_process.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { message_size = 1000 };

static size_t fill_queue(gipc_handle *h) {
  char message[message_size];
  size_t count = 0;
  do
    fill(message, sizeof message, count);
  while (gipc_try_put(h, message, sizeof message) == 0 && ++count);
  return count;
}

/* Whole messages in order, then a clean end or a cut; their number. */
static size_t get_rest(gipc_handle *r, size_t expected_size, int *end) {
  const void *data;
  size_t size, count = 0;
  while ((*end = gipc_get(r, 50, &data, &size)) == 0) {
    CHECK_IS(size, expected_size);
    CHECK(filled(data, size, count));
    count++;
  }
  return count;
}

struct pipe_of_child {
  gipc_options *o;
  gipc_handle *r, *w;
  gipc_process *p;
};

static void begin(struct pipe_of_child *c, target_function target, void *arg) {
  c->o = new_options();
  CHECK_OK(gipc_pipe(&c->r, &c->w));
  CHECK_OK(gipc_options_pass(c->o, NULL, c->w));
  c->p = start(target, arg != NULL ? arg : c->w, c->o);
}

static void finish(struct pipe_of_child *c, int ended, int code) {
  CHECK_IS(info_of(c->p).ended, ended);
  CHECK_IS(end_of(c->p), code);
  gipc_options_free(c->o);
  gipc_handle_free(c->r);
  gipc_handle_free(c->w);
}

/* ---- A peer that never reads ----------------------------------------- */

static int leave_a_queue(struct ev_loop *fresh, void *out) {
  fill_queue(out);
  return 7;
}

static int exit_with_a_queue(struct ev_loop *fresh, void *out) {
  fill_queue(out);
  exit(7);
}

static int gipc_exit_with_a_queue(struct ev_loop *fresh, void *out) {
  CHECK_OK(gipc_set_exit_timeout(0.05)); /* its own, not the parent's */
  fill_queue(out);
  gipc_exit(7);
}

static void the_end_of_a_child_gives_up_when_nothing_is_read(void **state) {
  static const target_function targets[] = {leave_a_queue, exit_with_a_queue,
                                            gipc_exit_with_a_queue};
  static const double timeouts[] = {0, 0.05, -1}; /* inherited */
  for (int i = 0; i < 3; i++) {
    struct pipe_of_child c;
    int end;
    CHECK_OK(gipc_set_exit_timeout(timeouts[i]));
    begin(&c, targets[i], NULL);
    CHECK_OK(gipc_process_join(c.p, 50));
    CHECK(get_rest(c.r, message_size, &end) > 0);
    CHECK(end == GIPC_EOF || end == GIPC_ETRUNCATED);
    finish(&c, GIPC_ENDED_UNSENT, 7);
  }
  CHECK_OK(gipc_set_exit_timeout(60));
}

static void
the_end_of_a_child_without_a_timeout_waits_indefinitely(void **state) {
  struct pipe_of_child c;
  int end;
  CHECK_OK(gipc_set_exit_timeout(-1));
  begin(&c, leave_a_queue, NULL);
  CHECK_IS(gipc_process_join(c.p, 0.3), -ETIMEDOUT);
  CHECK(get_rest(c.r, message_size, &end) > 250);
  CHECK_IS(end, GIPC_EOF);
  finish(&c, GIPC_ENDED_RETURN, 7);
  CHECK_OK(gipc_set_exit_timeout(60));
}

static void a_timeout_that_is_not_a_number_is_refused(void **state) {
  struct pipe_of_child c;
  int end;
  CHECK_OK(gipc_set_exit_timeout(0));
  CHECK_IS(gipc_set_exit_timeout((double)NAN), -EINVAL);
  begin(&c, leave_a_queue, NULL);
  CHECK_OK(gipc_process_join(c.p, 50));
  (void)get_rest(c.r, message_size, &end);
  finish(&c, GIPC_ENDED_UNSENT, 7);
  CHECK_OK(gipc_set_exit_timeout(60));
}

static void the_end_of_a_child_does_not_wait_for_a_closed_reader(void **state) {
  struct pipe_of_child c;
  CHECK_OK(gipc_set_exit_timeout(-1));
  begin(&c, leave_a_queue, NULL);
  CHECK(wait_fd(gipc_fd(c.r, GIPC_READ), POLLIN, 50000));
  CHECK_OK(gipc_close(c.r));
  CHECK_OK(gipc_process_join(c.p, 50));
  finish(&c, GIPC_ENDED_RETURN, 7);
  CHECK_OK(gipc_set_exit_timeout(60));
}

static int leave_a_put_begun(struct ev_loop *fresh, void *out) {
  static char large[5000000]; /* more than a ring holds */
  CHECK_OK(gipc_try_put(out, "whole", 5));
  CHECK_IS(gipc_put_start(out, large, sizeof large), -EAGAIN);
  return 7;
}

static void a_put_that_was_only_begun_is_unsent(void **state) {
  struct pipe_of_child c;
  const void *data;
  size_t size;
  begin(&c, leave_a_put_begun, NULL);
  CHECK_OK(gipc_get(c.r, 50, &data, &size));
  CHECK_IS(gipc_get(c.r, 50, &data, &size), GIPC_ETRUNCATED);
  finish(&c, GIPC_ENDED_UNSENT, 7);
}

static int put_to_oneself(struct ev_loop *fresh, void *argument) {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  return gipc_put(w, "fresh", 5, -1) == 0 ? 8 : 9;
}

/* Another thread ends the process, and waits. */
static void *start_at_the_end(void *out) {
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  while (gipc_flush_step(out) != GIPC_ELOCKED)
    sched_yield();
  CHECK_OK(gipc_options_pass(o, NULL, out));
  CHECK_IS(gipc_start_process(put_to_oneself, NULL, o, &p), GIPC_ELOCKED);
  _exit(in_child(put_to_oneself, NULL, NULL));
}

static int end_beside_a_start(struct ev_loop *fresh, void *out) {
  pthread_t thread;
  fill_queue(out);
  CHECK_OK(pthread_create(&thread, NULL, start_at_the_end, out));
  return 7;
}

static void a_process_that_ends_may_start_another(void **state) {
  struct pipe_of_child c;
  CHECK_OK(gipc_set_exit_timeout(-1));
  begin(&c, end_beside_a_start, NULL);
  CHECK_OK(gipc_process_join(c.p, 50));
  finish(&c, GIPC_ENDED_UNKNOWN, 8);
  CHECK_OK(gipc_set_exit_timeout(60));
}

/* ---- A peer that reads a little all the time ------------------------- */

enum { large_size = 100000, large_count = 8, patience = 3 };

struct slow {
  gipc_handle *out;
  int peer; /* of the out handle, in the parent */
  int by_put;
};

static void *put_the_last(void *argument) {
  struct slow *s = argument;
  size_t size = large_count * large_size;
  char *data = malloc(size);
  fill(data, size, 1);
  (void)!gipc_put(s->out, data, size, s->by_put == 1 ? -1 : 1000);
  return NULL;
}

static int put_to_end(struct ev_loop *fresh, void *argument) {
  struct slow *s = argument;
  pthread_t thread;
  int sent = 0;
  size_t size = large_count * large_size;
  CHECK_OK(gipc_set_exit_timeout(patience));
  if (s->by_put == 0) {
    char *data = malloc(size);
    fill(data, size, 1);
    CHECK_OK(gipc_set_marks(s->out, 1, 2 * size));
    CHECK_OK(gipc_try_put(s->out, data, size));
    free(data);
    return 7;
  }
  CHECK_OK(pthread_create(&thread, NULL, put_the_last, s));
  /* It is in its put, which does not fit into the socket, from here on. */
  while (ioctl(gipc_fd(s->out, GIPC_WRITE), TIOCOUTQ, &sent) == 0 && sent == 0)
    sched_yield();
  return 7;
}

static size_t read_piece(int fd, char *out, size_t room, size_t piece) {
  ssize_t got = read(fd, out, room < piece ? room : piece);
  CHECK(got > 0);
  return (size_t)got;
}

static void the_end_of_a_child_waits_while_anything_is_read(void **state) {
  enum { kinds = 3, size = large_count * large_size + 4 };
  struct slow slow[kinds];
  gipc_process *p[kinds];
  char *bytes[kinds];
  double begin = now();
  size_t at[kinds] = {0};
  for (int i = 0; i < kinds; i++) {
    gipc_options *o = new_options();
    int ends[2];
    bytes[i] = malloc(size);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    slow[i] = (struct slow){.peer = ends[1], .by_put = i};
    CHECK_OK(gipc_open(-1, ends[0], &slow[i].out));
    CHECK_OK(gipc_options_pass(o, NULL, slow[i].out));
    p[i] = start(put_to_end, &slow[i], o);
    gipc_options_free(o);
  }
  /* Longer than the patience in all, with no pause that is as long. */
  while (now() - begin < patience + 0.7) {
    poll(NULL, 0, 250);
    /* Less in all than what makes a socket writable again. */
    for (int i = 0; i < kinds; i++)
      at[i] += read_piece(slow[i].peer, bytes[i] + at[i], size - at[i], 10000);
  }
  for (int i = 0; i < kinds; i++) {
    while (at[i] < size)
      at[i] += read_piece(slow[i].peer, bytes[i] + at[i], size - at[i], size);
    CHECK(filled(bytes[i] + 4, size - 4, 1));
    CHECK_IS(info_of(p[i]).ended, GIPC_ENDED_RETURN);
    CHECK_IS(end_of(p[i]), 7);
    close(slow[i].peer);
    free(bytes[i]);
    gipc_handle_free(slow[i].out);
  }
}

/* ---- An end inside a put --------------------------------------------- */

static int by_gipc_exit;

static void end_now(int number) {
  if (by_gipc_exit)
    gipc_exit(5);
  exit(5);
}

static int put_until_signal(struct ev_loop *fresh, void *out) {
  char *large = malloc(large_size);
  CHECK(signal(SIGUSR1, end_now) != SIG_ERR);
  for (size_t i = 0; i < SIZE_MAX; i++) {
    fill(large, large_size, i);
    CHECK_OK(gipc_put(out, large, large_size, i % 2 ? -1 : 1000));
  }
  return 0;
}

static int queue_until_signal(struct ev_loop *fresh, void *out) {
  char message[message_size];
  CHECK(signal(SIGUSR1, end_now) != SIG_ERR);
  for (size_t i = 0; i < SIZE_MAX;) {
    fill(message, sizeof message, i);
    int result = gipc_try_put(out, message, sizeof message);
    if (result == 0)
      i++;
    else
      CHECK_OK(gipc_flush(out, -1));
  }
  return 0;
}

/* At any moment: after some messages, and in the wait of a put. */
static void end_by_signal(target_function target, size_t size,
                          size_t messages) {
  struct pipe_of_child c;
  const void *data;
  size_t got, count = 0;
  int result = 0;
  begin(&c, target, NULL);
  while (count < messages && (result = gipc_get(c.r, 50, &data, &got)) == 0) {
    CHECK(got == size && filled(data, got, count));
    count++;
  }
  CHECK_OK(result);
  if (messages == 0) {
    CHECK(wait_fd(gipc_fd(c.r, GIPC_READ), POLLIN, 50000));
    while (state_of(gipc_process_pid(c.p)) != 'S')
      sched_yield();
  }
  CHECK_OK(gipc_process_signal(c.p, SIGUSR1));
  while ((result = gipc_get(c.r, 50, &data, &got)) == 0) {
    CHECK(got == size && filled(data, got, count));
    count++;
  }
  CHECK(result == GIPC_EOF || result == GIPC_ETRUNCATED);
  int ended = info_of(c.p).ended;
  CHECK(ended == GIPC_ENDED_EXIT || ended == GIPC_ENDED_UNSENT);
  if (result == GIPC_ETRUNCATED || messages == 0)
    CHECK_IS(ended, GIPC_ENDED_UNSENT);
  finish(&c, ended, 5);
}

static void a_handler_may_end_the_process_inside_a_put(void **state) {
  for (size_t i = 0; i < many(60, 6); i++) {
    by_gipc_exit = i % 2 != 0;
    end_by_signal(put_until_signal, large_size, i % 6);
    end_by_signal(queue_until_signal, message_size, i % 6 * 50);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_end_of_a_child_gives_up_when_nothing_is_read),
      TEST(the_end_of_a_child_without_a_timeout_waits_indefinitely),
      TEST(a_timeout_that_is_not_a_number_is_refused),
      TEST(the_end_of_a_child_does_not_wait_for_a_closed_reader),
      TEST(a_put_that_was_only_begun_is_unsent),
      TEST(a_process_that_ends_may_start_another),
      TEST(the_end_of_a_child_waits_while_anything_is_read),
      TEST(a_handler_may_end_the_process_inside_a_put),
  };
  return cmocka_run_group_tests_name("process unsent", tests, NULL, NULL);
}
