/* Structs that grow: a program may be compiled with an older or a newer header
 * than that of the library which runs (H108). */
#include "support_process.h"

/* Members that a later version might add, and bytes that must not change. */
typedef struct longer_stats {
  gipc_stats now;
  uint64_t later[2];
  unsigned char after[16];
} longer_stats;
typedef struct longer_info {
  gipc_exit_info now;
  double later[2];
  unsigned char after[16];
} longer_info;
typedef struct longer_events {
  gipc_events now;
  void (*later)(gipc_handle *h, void *user);
  unsigned char after[16];
} longer_events;

#define END_OF(type, member) (offsetof(type, member) + sizeof((type){0}.member))

static bool all(const void *data, size_t from, size_t to, int byte) {
  const unsigned char *bytes = data;
  for (size_t i = from; i < to; i++)
    if (bytes[i] != byte)
      return false;
  return true;
}

static void fill_with(void *data, size_t size, size_t given) {
  memset(data, 0xEE, size);
  memcpy(data, &given, sizeof given);
}

/* ---- Structs that are filled --------------------------------------------- */

typedef int (*asking)(void *object, void *out);
static int ask_stats(void *object, void *out) {
  return gipc_handle_stats(object, out);
}
static int ask_info(void *object, void *out) {
  return gipc_process_info(object, out);
}

/* Every size from the least to the whole struct and beyond. */
static void try_sizes(asking ask, void *object, size_t least, size_t now,
                      void *out, size_t whole) {
  unsigned char full[256];
  CHECK(whole <= sizeof full);
  fill_with(full, sizeof full, now);
  CHECK_OK(ask(object, full));
  for (size_t size = least; size <= whole - 16; size++) {
    size_t known = size < now ? size : now;
    fill_with(out, whole, size);
    CHECK_OK(ask(object, out));
    CHECK(memcmp(out, &size, sizeof size) == 0);
    CHECK(memcmp((char *)out + sizeof size, full + sizeof size,
                 known - sizeof size) == 0);
    CHECK(all(out, known, size, 0));
    CHECK(all(out, size, whole, 0xEE));
  }
  const size_t wrong[] = {0, 1, sizeof(size_t), least - 1};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    fill_with(out, whole, wrong[i]);
    CHECK_IS(ask(object, out), -EINVAL);
    CHECK(all(out, sizeof(size_t), whole, 0xEE));
  }
  /* A size that was never set does not let the library write anywhere. */
  const size_t absurd[] = {4097, (size_t)-1, SIZE_MAX / 2};
  for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
    fill_with(out, whole, absurd[i]);
    CHECK_IS(ask(object, out), -E2BIG);
    CHECK(all(out, sizeof(size_t), whole, 0xEE));
  }
}

static void stats_are_filled_up_to_the_size_of_the_program(void **state) {
  longer_stats out;
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_put(w, "hello", 5, -1));
  try_sizes(ask_stats, w, END_OF(gipc_stats, messages_in), sizeof(gipc_stats),
            &out, sizeof out);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void an_exit_info_is_filled_up_to_the_size_of_the_program(void **state) {
  longer_info out;
  gipc_process *p = start(return_argument, INT(7), NULL);
  CHECK_OK(gipc_process_join(p, -1));
  try_sizes(ask_info, p, END_OF(gipc_exit_info, code), sizeof(gipc_exit_info),
            &out, sizeof out);
  gipc_process_free(p);
}

static void a_struct_is_untouched_when_the_call_fails(void **state) {
  gipc_process *p = start(wait_for_signal, NULL, NULL);
  longer_info out;
  fill_with(&out, sizeof out, sizeof(gipc_exit_info));
  CHECK_IS(gipc_process_info(p, &out.now), -EAGAIN);
  CHECK(all(&out, sizeof(size_t), sizeof out, 0xEE));
  destroy(p);
}

/* ---- Structs that are read ----------------------------------------------- */

static int messages, drains, ends;

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  messages++;
}
static void on_drain(gipc_handle *h, void *user) { drains++; }
static void on_end(gipc_handle *h, int why, void *user) { ends++; }

/* One message to a reader that was started with size bytes of its events. */
static int deliver(const longer_events *events, size_t size) {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  longer_events given = *events;
  gipc_handle *r, *w;
  int result;
  messages = drains = ends = 0;
  given.now.size = size;
  CHECK_OK(gipc_pipe(&r, &w));
  result = gipc_start(r, loop, &given.now, NULL);
  memset(&given, 0xEE, sizeof given); /* it was copied */
  if (result == 0) {
    CHECK_OK(gipc_put(w, "x", 1, -1));
    CHECK_OK(gipc_close(w));
    ev_run(loop, 0);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
  ev_loop_destroy(loop);
  return result;
}

static void callbacks_that_an_older_program_lacks_are_none(void **state) {
  longer_events events;
  memset(&events, 0xEE, sizeof events); /* the bytes beyond must not change */
  events.now.on_message = on_message;
  CHECK_OK(deliver(&events, END_OF(gipc_events, on_message)));
  CHECK(messages == 1 && ends == 0);
  events.now.on_drain = on_drain;
  CHECK_OK(deliver(&events, END_OF(gipc_events, on_drain)));
  CHECK(messages == 1 && ends == 0);
  /* A pointer that is only partly covered counts as NULL. */
  events.now.on_end = on_end;
  CHECK_OK(deliver(&events, sizeof events.now - 1));
  CHECK(messages == 1 && ends == 0);
  CHECK_OK(deliver(&events, sizeof events.now));
  CHECK(messages == 1 && ends == 1);
}

static void a_callback_that_is_not_known_here_is_refused(void **state) {
  longer_events events;
  memset(&events, 0, sizeof events);
  events.now.on_message = on_message;
  events.now.on_end = on_end;
  CHECK_OK(deliver(&events, offsetof(longer_events, after)));
  CHECK(messages == 1 && ends == 1);
  events.later = on_drain;
  CHECK_IS(deliver(&events, offsetof(longer_events, after)), -E2BIG);
  CHECK_OK(deliver(&events, sizeof events.now));
  events.later = NULL;
  events.after[0] = 1;
  CHECK_IS(deliver(&events, offsetof(longer_events, after) + 1), -E2BIG);
}

static void events_without_a_size_are_refused(void **state) {
  longer_events events;
  memset(&events, 0, sizeof events);
  events.now.on_message = on_message;
  CHECK_IS(deliver(&events, 0), -EINVAL);
  CHECK_IS(deliver(&events, sizeof(size_t)), -EINVAL);
  CHECK_IS(deliver(&events, END_OF(gipc_events, on_message) - 1), -EINVAL);
  CHECK_IS(deliver(&events, 4097), -E2BIG);
  CHECK_IS(deliver(&events, (size_t)-1), -E2BIG);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(stats_are_filled_up_to_the_size_of_the_program),
      TEST(an_exit_info_is_filled_up_to_the_size_of_the_program),
      TEST(a_struct_is_untouched_when_the_call_fails),
      TEST(callbacks_that_an_older_program_lacks_are_none),
      TEST(a_callback_that_is_not_known_here_is_refused),
      TEST(events_without_a_size_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
