/* What the parent and the child of the matrix have in common, in C. */
#include "peer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 10000, LARGEST = 1 << 17, SUMMARY = 64 };

void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

void check(int result, const char *what) {
  if (result >= 0)
    return;
  fprintf(stderr, "%s: %s\n", what, gipc_strerror(result));
  exit(1);
}

/* The same numbers in every language: no product reaches 2^53. */
static uint64_t state;

static size_t next(size_t below) {
  state = state * 16807 % 2147483647;
  return state % below;
}

static size_t next_size(void) {
  size_t a = next(18), b = next(18);
  return next((size_t)1 << (a < b ? a : b));
}

/* As zlib's. */
static uint32_t adler32(uint32_t sum, const void *data, size_t size) {
  const unsigned char *bytes = data;
  uint32_t a = sum & 0xffff, b = sum >> 16;
  for (size_t i = 0; i < size; i++) {
    a = (a + bytes[i]) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

/* Over its size, too: so that the cut between two messages counts. */
static uint32_t add(uint32_t sum, const void *data, size_t size) {
  char text[SUMMARY];
  int length = snprintf(text, sizeof text, "%zu:", size);
  return adler32(adler32(sum, text, (size_t)length), data, size);
}

static size_t summarize(char *text, uint32_t sum, size_t total) {
  return (size_t)snprintf(text, SUMMARY, "%d messages, %zu bytes, %08x",
                          MESSAGES, total, (unsigned)sum);
}

void put_stream(gipc_handle *h, unsigned seed) {
  static char block[2 * LARGEST];
  char text[SUMMARY];
  uint32_t sum = 1;
  size_t total = 0;
  state = seed;
  for (size_t i = 0; i < sizeof block; i++)
    block[i] = (char)next(256);
  for (int i = 0; i < MESSAGES; i++) {
    const char *message = block + next(LARGEST);
    size_t size = next_size();
    check(gipc_put(h, message, size, -1), "gipc_put");
    sum = add(sum, message, size);
    total += size;
  }
  check(gipc_put(h, text, summarize(text, sum, total), -1), "gipc_put");
}

void get_stream(gipc_handle *h) {
  char text[SUMMARY];
  const void *data;
  uint32_t sum = 1;
  size_t total = 0, size;
  for (int i = 0; i < MESSAGES; i++) {
    check(gipc_get(h, -1, &data, &size), "gipc_get");
    sum = add(sum, data, size);
    total += size;
  }
  size_t length = summarize(text, sum, total);
  check(gipc_get(h, -1, &data, &size), "gipc_get");
  if (size == length && memcmp(data, text, size) == 0)
    return;
  fprintf(stderr, "got %s; the peer put %.*s\n", text, (int)size,
          (const char *)data);
  exit(1);
}
