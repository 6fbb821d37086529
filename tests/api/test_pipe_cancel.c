/* Cancelling a get or a put at every byte: the stream stays exact. */
#include "support.h"

#include <sys/socket.h>
#include <unistd.h>

static const void *data;
static size_t size;

static int raw_pair(int *peer) {
  int s[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  *peer = s[1];
  return s[0];
}

static void put_header(unsigned char *out, size_t payload) {
  for (int i = 0; i < 4; i++)
    out[i] = (unsigned char)(payload >> (24 - 8 * i));
}

/* The peer writes a message of this size byte by byte; between any two bytes a
 * get begins, would block, and is cancelled.  way: the function that begins it.
 */
static void cancel_a_get(size_t payload, int way, size_t step) {
  unsigned char *frame = malloc(payload + 4), *into = malloc(payload + 1);
  int peer, fd = raw_pair(&peer);
  gipc_handle *r;
  OK(gipc_open(fd, -1, &r));
  put_header(frame, payload);
  fill(frame + 4, payload, payload);
  for (size_t at = 0; at < payload + 4;) {
    size_t part = at < 40 || payload + 4 - at < 40 ? 1 : step;
    if (at + part > payload + 4)
      part = payload + 4 - at;
    int result = way == 1   ? gipc_get(r, 0, &data, &size)
                 : way == 2 ? gipc_next_size(r, &size)
                            : gipc_get_into(r, into, payload + 1, &size);
    if (way == 1)
      RESULT(result, -ETIMEDOUT);
    else if (way == 2) {
      RESULT(result, at < 4 ? -EAGAIN : 0);
      RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
    } else
      RESULT(result, -EAGAIN);
    if (way != 3) /* 3: borrows to the end */
      OK(gipc_get_cancel(r));
    if (way == 0)
      memset(into, 0xee, payload + 1); /* no longer borrowed */
    assert_true(write_all(peer, frame + at, part));
    at += part;
  }
  if (way == 3) {
    OK(gipc_get_into(r, into, payload + 1, &size));
    data = into;
  } else
    OK(gipc_try_get(r, &data, &size));
  assert_int_equal(size, payload);
  assert_true(filled(data, size, payload));
  /* What follows is exact, too. */
  assert_true(write_all(peer, "\0\0\0\4next", 8));
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "next", 4);
  close(peer);
  RESULT(gipc_get(r, 10, &data, &size), GIPC_EOF);
  gipc_handle_free(r);
  free(frame);
  free(into);
}

static void a_get_cancelled_at_any_byte_loses_nothing(void **state) {
  /* H66 */
  for (int way = 0; way < 4; way++) {
    cancel_a_get(0, way, 1);
    cancel_a_get(1, way, 1);
    cancel_a_get(300, way, 1);
    cancel_a_get(65537, way, many(1, 97)); /* assembled apart */
    cancel_a_get(300000, way, 997);
  }
}

static void
a_cancelled_get_continues_with_any_other_get(void **state) { /* H66 */
  enum { payload = 200000 };
  static unsigned char frame[payload + 4], into[payload], other[payload];
  uint64_t seed = 66;
  put_header(frame, payload);
  fill(frame + 4, payload, 5);
  for (size_t round = 0; round < many(60, 5); round++) {
    int peer, fd = raw_pair(&peer), result = -EAGAIN;
    gipc_handle *r;
    const void *got = NULL;
    OK(gipc_open(fd, -1, &r));
    for (size_t at = 0; at < sizeof frame || result != 0;) {
      size_t part = 1 + random_next(&seed) % 30000;
      if (at + part > sizeof frame)
        part = sizeof frame - at;
      assert_true(write_all(peer, frame + at, part));
      at += part;
      unsigned char *buffer = random_next(&seed) % 2 ? into : other;
      switch (random_next(&seed) % 3) {
      case 0:
        result = gipc_try_get(r, &got, &size);
        break;
      case 1:
        result = gipc_get(r, 0, &got, &size);
        break;
      default:
        if ((result = gipc_get_into(r, buffer, payload, &size)) == 0)
          got = buffer;
        OK(gipc_get_cancel(r));
      }
      assert_true(result == 0 || result == -EAGAIN || result == -ETIMEDOUT);
      if (result == 0)
        break;
    }
    assert_int_equal(size, payload);
    assert_true(filled(got, payload, 5));
    close(peer);
    gipc_handle_free(r);
  }
}

/* ---- Puts ------------------------------------------------------------------
 */

/* A writer whose socket buffer is full of whole messages. */
static size_t fill_kernel(gipc_handle *w) {
  size_t count = 0;
  int result;
  while ((result = gipc_put_start(w, "filling", 7)) == 0)
    count++;
  RESULT(result, -EAGAIN);
  OK(gipc_put_cancel(w)); /* no byte of it was written */
  return count;
}

/* Reads frames from a raw socket, any number of bytes at a time. */
struct parser {
  unsigned char *bytes;
  size_t count, room;
};

static void swallow(struct parser *p, int peer, size_t want) {
  while (want > 0) {
    if (p->room - p->count < want)
      p->bytes = realloc(p->bytes, p->room = 2 * (p->count + want));
    ssize_t got = read(peer, p->bytes + p->count, want);
    assert_true(got > 0);
    p->count += (size_t)got;
    want -= (size_t)got;
  }
}

static void expect_frame(struct parser *p, size_t *at, const void *payload,
                         size_t count) {
  unsigned char header[4];
  put_header(header, count);
  assert_true(p->count - *at >= count + 4);
  assert_memory_equal(p->bytes + *at, header, 4);
  assert_true(memcmp(p->bytes + *at + 4, payload, count) == 0);
  *at += count + 4;
}

/* The peer reads the stream piece by piece.  After the Nth piece the put is
 * cancelled.  For every N the peer gets whole messages. */
static bool cancel_a_put(size_t payload, size_t queued, size_t pieces,
                         size_t piece) {
  struct parser p = {NULL, 0, 0};
  unsigned char *message = malloc(payload + 1), *copy = malloc(payload + 1);
  int peer, fd = raw_pair(&peer), tiny = 4608, result;
  size_t at = 0, filling, expected;
  gipc_handle *w;
  gipc_stats stats = {.size = sizeof stats};
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof tiny);
  OK(gipc_open(-1, fd, &w));
  fill(message, payload, 67);
  memcpy(copy, message, payload);
  filling = fill_kernel(w);
  for (size_t i = 0; i < queued; i++)
    OK(gipc_try_put(w, "queued", 6));
  RESULT(gipc_put_start(w, message, payload), -EAGAIN);
  RESULT(gipc_try_put(w, "locked", 6), GIPC_ELOCKED);
  RESULT(gipc_flush_step(w), GIPC_ELOCKED);
  result = -EAGAIN;
  for (size_t i = 0; i < pieces && result == -EAGAIN; i++) {
    swallow(&p, peer, piece);
    result = gipc_put_step(w);
  }
  bool done = result == 0;
  if (!done) {
    RESULT(result, -EAGAIN);
    result = gipc_put_cancel(w);
    assert_true(result == 0 || result == 1);
    RESULT(gipc_put_cancel(w), -EINVAL);
  } else
    result = 1;                       /* all bytes are written */
  memset(message, 0xdd, payload + 1); /* no longer borrowed */
  OK(gipc_handle_stats(w, &stats));
  assert_int_equal(stats.messages_out,
                   filling + queued + (result == 1 ? 1 : 0));
  OK(gipc_try_put(w, "last", 4));
  expected = filling * 11 + queued * 10 + (result == 1 ? payload + 4 : 0) + 8;
  while (p.count < expected) {
    int flushed = gipc_flush_step(w);
    assert_true(flushed == 0 || flushed == -EAGAIN);
    size_t want = expected - p.count;
    swallow(&p, peer, want < 64 ? want : 64);
  }
  OK(gipc_close(w));
  for (size_t i = 0; i < filling; i++)
    expect_frame(&p, &at, "filling", 7);
  for (size_t i = 0; i < queued; i++)
    expect_frame(&p, &at, "queued", 6);
  if (result == 1)
    expect_frame(&p, &at, copy, payload);
  expect_frame(&p, &at, "last", 4);
  assert_int_equal(at, p.count);
  assert_int_equal(read(peer, copy, 1), 0);
  close(peer);
  gipc_handle_free(w);
  free(message);
  free(copy);
  free(p.bytes);
  return done;
}

static void a_put_cancelled_at_any_byte_is_whole_or_not_put(void **state) {
  /* H67 */
  static const size_t payloads[] = {1, 300, 4096, 4097, 20000};
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
    for (size_t queued = 0; queued < 3; queued += 2)
      for (size_t pieces = 0;; pieces += many(1, 7))
        if (cancel_a_put(payloads[i], queued, pieces, 11 * 8))
          break;
}

static void the_peer_may_read_byte_by_byte(void **state) { /* H67 */
  for (size_t pieces = 0; pieces < many(3000, 200); pieces += 61)
    cancel_a_put(20000, 1, pieces, 1);
}

static void a_cancelled_put_of_which_no_byte_was_written_changes_nothing(
    void **state) { /* H67 */
  gipc_handle *r, *w;
  size_t pending = 77, count;
  static char block[100000];
  OK(gipc_pipe(&r, &w));
  count = fill_kernel(w);
  for (int i = 0; i < 100; i++) {
    size_t payload = i % 2 ? sizeof block : 100;
    RESULT(gipc_put_start(w, block, payload), -EAGAIN);
    OK(gipc_pending(w, GIPC_WRITE, &pending));
    assert_int_equal(pending, payload + 4);
    OK(gipc_put_cancel(w));
    OK(gipc_pending(w, GIPC_WRITE, &pending));
    assert_int_equal(pending, 0);
  }
  while (count-- > 0)
    OK(gipc_get(r, 10, &data, &size));
  RESULT(gipc_try_get(r, &data, &size), -EAGAIN);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_put_finishes_in_the_background_by_flushing(void **state) {
  gipc_handle *r, *w;
  enum { payload = 1 << 20 };
  char *block = malloc(payload);
  int result;
  fill(block, payload, 9);
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_marks(w, 1, 2 * payload));
  RESULT(gipc_put_start(w, block, payload), -EAGAIN);
  RESULT(gipc_put_cancel(w), 1);
  free(block);
  OK(gipc_try_put(w, "behind", 6));
  while ((result = gipc_try_get(r, &data, &size)) == -EAGAIN) {
    int flushed = gipc_flush_step(w);
    assert_true(flushed == 0 || flushed == -EAGAIN);
  }
  OK(result);
  assert_int_equal(size, payload);
  assert_true(filled(data, size, 9));
  OK(gipc_flush(w, 10));
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "behind", 6);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_get_cancelled_at_any_byte_loses_nothing),
      TEST(a_cancelled_get_continues_with_any_other_get),
      TEST(a_put_cancelled_at_any_byte_is_whole_or_not_put),
      TEST(the_peer_may_read_byte_by_byte),
      TEST(a_cancelled_put_of_which_no_byte_was_written_changes_nothing),
      TEST(a_put_finishes_in_the_background_by_flushing),
  };
  return cmocka_run_group_tests_name("pipe cancel", tests, NULL, NULL);
}
