/* Threads that are cancelled at any moment, while others continue to use the
 * handle: no byte is lost, doubled or out of order (H66, H67, H117). */
#include "support_process.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct side {
  gipc_handle *handle;
  double timeout; /* of each call */
  size_t count;   /* of messages, in all */
  size_t next;    /* number of the message to get */
  size_t largest;
  int failed;
};

static size_t size_of(const struct side *s, size_t number) {
  uint64_t seed = number + 1;
  uint64_t random = random_next(&seed);
  /* Mostly small ones. */
  return random % 4 == 0 ? random / 4 % s->largest : random / 4 % 300;
}

static void *reader(void *argument) {
  struct side *s = argument;
  const void *data;
  size_t size;
  while (s->next < s->count) {
    int result = gipc_get(s->handle, s->timeout, &data, &size);
    /* There is no cancellation point between the get and the count. */
    if (result != 0 || size != size_of(s, s->next) ||
        !filled(data, size, s->next)) {
      s->failed = 1;
      break;
    }
    s->next++;
  }
  return NULL;
}

static uint64_t put_so_far(gipc_handle *h) {
  gipc_stats stats = {.size = sizeof stats};
  CHECK_OK(gipc_handle_stats(h, &stats));
  return stats.messages_out;
}

static void *writer(void *argument) {
  struct side *s = argument;
  char *data = malloc(s->largest + 300);
  pthread_cleanup_push(free, data);
  for (;;) {
    size_t number = put_so_far(s->handle);
    if (number >= s->count)
      break;
    fill(data, size_of(s, number), number);
    if (gipc_put(s->handle, data, size_of(s, number), s->timeout) != 0) {
      s->failed = 1;
      break;
    }
  }
  s->failed |= gipc_flush(s->handle, s->timeout) != 0;
  pthread_cleanup_pop(1);
  return NULL;
}

static uint64_t seed = 117;

struct run {
  void *(*body)(void *);
  struct side *side;
  atomic_bool begins;
};

static void *run(void *argument) {
  struct run *r = argument;
  while (!r->begins)
    sched_yield();
  return r->body(r->side);
}

/* Starts threads with this body one after the other, until one completes.  The
 * first one is cancelled before it begins: on a busy machine it could complete.
 */
static size_t run_and_cancel(void *(*body)(void *), struct side *s) {
  for (size_t cancelled = 0;; cancelled++) {
    pthread_t thread;
    void *result = NULL;
    struct run r = {body, s, cancelled > 0};
    CHECK_OK(pthread_create(&thread, NULL, run, &r));
    uint64_t spin = random_next(&seed) % 200000,
             rounds = random_next(&seed) % 8;
    for (; rounds > 0; rounds--) {
      for (volatile uint64_t i = 0; i < spin / 8; i++)
        ;
      sched_yield();
    }
    CHECK_OK(pthread_cancel(thread));
    r.begins = true;
    CHECK_OK(pthread_join(thread, &result));
    CHECK(!s->failed);
    if (result != PTHREAD_CANCELED)
      return cancelled;
  }
}

struct ends {
  struct side out, in;
};

static void open_ends(struct ends *e, int duplex, double timeout) {
  memset(e, 0, sizeof *e);
  CHECK_OK(duplex ? gipc_pipe_duplex(&e->in.handle, &e->out.handle)
                  : gipc_pipe(&e->in.handle, &e->out.handle));
  e->in.count = e->out.count = many(3000, 300);
  e->in.largest = e->out.largest = 200000;
  e->in.timeout = e->out.timeout = timeout;
}

static void close_ends(struct ends *e) {
  const void *data;
  size_t size;
  CHECK_IS(e->in.next, e->in.count);
  CHECK_OK(gipc_close(e->out.handle));
  CHECK_IS(gipc_get(e->in.handle, 30, &data, &size), GIPC_EOF);
  gipc_handle_free(e->in.handle);
  gipc_handle_free(e->out.handle);
}

static void cancel_readers(int duplex, double timeout) {
  struct ends e;
  pthread_t thread;
  open_ends(&e, duplex, timeout);
  CHECK_OK(pthread_create(&thread, NULL, writer, &e.out));
  CHECK(run_and_cancel(reader, &e.in) > 0);
  CHECK_OK(pthread_join(thread, NULL));
  CHECK(!e.out.failed);
  close_ends(&e);
}

static void cancel_writers(int duplex, double timeout) {
  struct ends e;
  pthread_t thread;
  open_ends(&e, duplex, timeout);
  CHECK_OK(pthread_create(&thread, NULL, reader, &e.in));
  CHECK(run_and_cancel(writer, &e.out) > 0);
  CHECK_OK(pthread_join(thread, NULL));
  CHECK(!e.in.failed);
  close_ends(&e);
}

static void cancelled_readers_lose_no_byte(void **state) {
  for (int duplex = 0; duplex < 2; duplex++) {
    cancel_readers(duplex, -1);
    cancel_readers(duplex, 50);
  }
}

static void cancelled_writers_put_each_message_once_or_not(void **state) {
  for (int duplex = 0; duplex < 2; duplex++) {
    cancel_writers(duplex, -1);
    cancel_writers(duplex, 50);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(cancelled_readers_lose_no_byte),
      TEST(cancelled_writers_put_each_message_once_or_not),
  };
  return cmocka_run_group_tests_name("cancel stress", tests, NULL, NULL);
}
