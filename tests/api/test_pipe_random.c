/* Random operations on open, started, closed and broken handles: no result is
 * unexpected, no callback is called too late, and every stream stays exact.
 *
 * GIPC_TEST_SEED repeats a run. */
#include "support.h"

#include <ev.h>
#include <time.h>

enum { pairs = 6, slots = 2 * pairs, largest = 200000 };

struct slot {
  gipc_handle *h; /* NULL: freed */
  bool started, closed;
  unsigned char *borrowed; /* to put_start */
  unsigned char *into;     /* to get_into */
  uint64_t next_put, next_get;
};

static struct ev_loop *loop;
static struct slot all[slots];
static uint64_t seed;
static size_t gets, puts_made;
static int depth;

static size_t pick(size_t count) { return random_next(&seed) % count; }

/* ---- Messages: a number and bytes that depend on it ------------------------
 */

static size_t size_of(uint64_t number) {
  uint64_t x = number * 0x9e3779b97f4a7c15u >> 40;
  return 8 + (x % 23 == 0 ? x * 31 % (largest - 8) : x % 300);
}
static void make(unsigned char *out, uint64_t number) {
  memcpy(out, &number, 8);
  memset(out + 8, (int)(number & 0xff), size_of(number) - 8);
}
static void check_got(struct slot *s, const void *data, size_t size) {
  const unsigned char *bytes = data;
  uint64_t number;
  assert_true(size >= 8);
  memcpy(&number, data, 8);
  assert_int_equal(number, s->next_get); /* H93 */
  assert_int_equal(size, size_of(number));
  for (size_t i = 8; i < size; i += 1 + size / 50)
    assert_int_equal(bytes[i], number & 0xff);
  if (size > 8)
    assert_int_equal(bytes[size - 1], number & 0xff);
  s->next_get++;
  gets++;
}

/* ---- Operations
 * ---------------------------------------------------------------- */

static bool known(int result) {
  switch (result) {
  case 0:
  case -EAGAIN:
  case -EINVAL:
  case -EPIPE:
  case -ETIMEDOUT:
  case -EINPROGRESS:
  case GIPC_EOF:
  case GIPC_ETRUNCATED:
  case GIPC_ECLOSED:
  case GIPC_ELOCKED:
  case GIPC_EDIRECTION:
    return true;
  }
  print_error("result %d\n", result);
  return false;
}

static void put_back(unsigned char **memory) {
  if (*memory != NULL)
    memset(*memory, 0xdb, 16); /* detects a later use */
  free(*memory);
  *memory = NULL;
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user);
static void on_drain(gipc_handle *h, void *user) {
  struct slot *s = user;
  assert_true(s->started && s->h == h);
}
static void on_end(gipc_handle *h, int why, void *user) {
  struct slot *s = user;
  assert_true(s->started && s->h == h);
  assert_true(known(why) && why < 0);
}
static const gipc_events events = {sizeof events, on_message, on_drain, on_end};

static void put(struct slot *s, size_t way) {
  static unsigned char block[3][largest];
  gipc_message batch[3];
  uint64_t n = s->next_put;
  size_t accepted = 0;
  int result;
  for (int i = 0; i < 3; i++) {
    make(block[i], n + (uint64_t)i);
    batch[i] = (gipc_message){block[i], size_of(n + (uint64_t)i)};
  }
  if (way == 3)
    result = gipc_put_many(s->h, batch, 3, 0, &accepted);
  else {
    result = way == 0   ? gipc_try_put(s->h, block[0], batch[0].size)
             : way == 1 ? gipc_put(s->h, block[0], batch[0].size, 0)
                        : gipc_put(s->h, block[0], batch[0].size, 0.0001);
    accepted = result == 0 || result == -EINPROGRESS;
  }
  memset(block[0], 0xdd, 64);
  assert_true(known(result));
  s->next_put += accepted;
  puts_made += accepted;
}

static void put_slowly(struct slot *s) {
  int result;
  if (s->borrowed == NULL) {
    s->borrowed = malloc(largest);
    make(s->borrowed, s->next_put);
    result = gipc_put_start(s->h, s->borrowed, size_of(s->next_put));
  } else if (pick(2))
    result = gipc_put_step(s->h);
  else {
    result = gipc_put_cancel(s->h);
    assert_true(result == 0 || result == 1 || result == GIPC_ECLOSED ||
                result == -EPIPE); /* the reader is gone */
    s->next_put += result == 1;
    put_back(&s->borrowed);
    return;
  }
  assert_true(known(result));
  if (result == -EAGAIN)
    return;
  s->next_put += result == 0;
  put_back(&s->borrowed);
}

static void get(struct slot *s, size_t way) {
  const void *data;
  size_t size;
  int result;
  if (way == 2) {
    if (s->into == NULL)
      s->into = malloc(largest);
    result = gipc_get_into(s->h, s->into, largest, &size);
    data = s->into;
  } else
    result = way == 0 ? gipc_try_get(s->h, &data, &size)
                      : gipc_get(s->h, 0, &data, &size);
  assert_true(known(result));
  if (result == 0)
    check_got(s, data, size);
  if (way == 2 && result != -EAGAIN && result != GIPC_ELOCKED)
    put_back(&s->into);
}

static void operate(struct slot *s) {
  size_t number, bytes;
  int result;
  if (s->h == NULL)
    return;
  switch (number = pick(40)) {
  case 0:
    if (pick(12))
      break;
    gipc_handle_free(s->h);
    s->h = NULL;
    s->started = false;
    put_back(&s->borrowed);
    put_back(&s->into);
    break;
  case 1:
    if (pick(8))
      break;
    result = gipc_close(s->h);
    assert_true(known(result));
    if (result == 0 || result == -EPIPE || result == GIPC_ECLOSED) {
      s->closed = true;
      s->started = false;
    }
    break;
  case 2:
    if (pick(10) == 0)
      assert_true(known(gipc_shutdown(s->h)));
    break;
  case 3:
  case 4:
  case 5:
    if ((result = gipc_start(s->h, loop, &events, s)) == 0)
      s->started = true;
    assert_true(known(result));
    break;
  case 6:
    if ((result = gipc_stop(s->h)) == 0)
      s->started = false;
    assert_true(known(result));
    break;
  case 7:
    assert_true(known(gipc_pause(s->h)));
    break;
  case 8:
  case 9:
    assert_true(known(gipc_resume(s->h)));
    break;
  case 10:
    assert_true(known(gipc_set_marks(s->h, pick(3000), 1 + pick(90000))));
    assert_true(known(gipc_set_read_limit(s->h, pick(2) * pick(900000))));
    result = gipc_read_ahead(s->h);
    assert_true(result == -ENOBUFS || known(result));
    break;
  case 11:
    assert_true(known(gipc_set_budget(s->h, pick(20), pick(90000))));
    break;
  case 12:
    result = gipc_get_cancel(s->h);
    assert_true(known(result));
    if (result == 0)
      put_back(&s->into);
    break;
  case 13:
    assert_true(known(gipc_next_size(s->h, &bytes)));
    break;
  case 14:
    assert_true(known(gipc_pending(s->h, GIPC_READ, &bytes)));
    assert_true(known(gipc_pending(s->h, GIPC_WRITE, &bytes)));
    break;
  case 15:
    result = gipc_directions(s->h);
    assert_true((result >= 0 && result <= 3) || result == GIPC_ECLOSED);
    result = gipc_fd(s->h, pick(2) ? GIPC_READ : GIPC_WRITE);
    assert_true(result > 2 || known(result));
    break;
  case 16:
    assert_true(known(gipc_flush_step(s->h)));
    break;
  case 17:
    assert_true(known(gipc_flush(s->h, 0)));
    break;
  case 18:
  case 19:
  case 20:
    if (depth < 3) {
      depth++;
      ev_run(loop, EVRUN_NOWAIT);
      depth--;
    }
    break;
  case 21:
  case 22:
    put_slowly(s);
    break;
  default:
    if (number < 32)
      put(s, number % 4);
    else
      get(s, number % 3);
  }
}

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  struct slot *s = user;
  assert_true(s->started && s->h == h); /* H97 */
  check_got(s, data, size);
  if (pick(8) == 0)
    operate(pick(2) ? s : &all[pick(slots)]);
}

static void renew(size_t pair) {
  struct slot *a = &all[2 * pair], *b = a + 1;
  if (a->h != NULL && b->h != NULL && !a->closed && !b->closed && pick(8))
    return;
  if (a->h != NULL)
    gipc_handle_free(a->h);
  if (b->h != NULL)
    gipc_handle_free(b->h);
  put_back(&a->borrowed), put_back(&a->into);
  put_back(&b->borrowed), put_back(&b->into);
  memset(a, 0, 2 * sizeof *a);
  if (pick(2))
    OK(gipc_pipe(&a->h, &b->h));
  else
    OK(gipc_pipe_duplex(&a->h, &b->h));
}

static void
random_operations_keep_every_stream_intact(void **state) { /* H96, H95 */
  const char *given = getenv("GIPC_TEST_SEED");
  size_t count = many(100000, 5000);
  seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
  print_message("GIPC_TEST_SEED=%llu\n", (unsigned long long)seed);
  loop = ev_loop_new(0);
  gets = puts_made = 0;
  depth = 0;
  for (size_t i = 0; i < count; i++) {
    if (i % 100 == 0)
      renew(pick(pairs));
    if (all[0].h == NULL && i == 0)
      for (size_t pair = 0; pair < pairs; pair++)
        renew(pair);
    operate(&all[pick(slots)]);
  }
  for (size_t i = 0; i < slots; i++) {
    gipc_handle_free(all[i].h);
    all[i].h = NULL;
    all[i].started = false;
    put_back(&all[i].borrowed);
    put_back(&all[i].into);
  }
  ev_loop_destroy(loop);
  print_message("%zu operations, %zu puts, %zu gets\n", count, puts_made, gets);
  assert_true(gets > count / 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(random_operations_keep_every_stream_intact)};
  return cmocka_run_group_tests_name("pipe random", tests, NULL, NULL);
}
