/* Peers that write garbage, lie about lengths, stop reading, close one
 * direction, or change shared memory under the reader: calls return, errors are
 * clear, memory stays bounded.  GIPC_TEST_LONG: many more of them. */
#include "support_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>

enum { most_growth = 24 << 20 };

static size_t rounds(size_t usual, size_t all) {
  return getenv("GIPC_TEST_LONG") != NULL ? all : many(usual, usual / 5);
}

static uint64_t first_seed(void) {
  const char *given = getenv("GIPC_TEST_SEED");
  return given != NULL ? strtoull(given, NULL, 0) : 1;
}

/* ---- What the other side sees -------------------------------------------- */

struct results {
  size_t got, put;
  int end_in, end_out; /* the permanent errors, or 0 */
};

static void try_get(gipc_handle *h, struct results *it, double timeout) {
  const void *data;
  size_t size;
  int result = gipc_get(h, timeout, &data, &size);
  if (it->end_in != 0)
    CHECK_IS(result, it->end_in); /* which stays the same */
  else if (result == 0)
    it->got++;
  else if (result != -ETIMEDOUT) {
    CHECK(result == GIPC_EOF || result == GIPC_ETRUNCATED ||
          result == GIPC_EPROTOCOL || result == GIPC_ETOOBIG ||
          result == -ECONNRESET);
    it->end_in = result;
  }
}

static void try_put(gipc_handle *h, struct results *it) {
  static char block[3000];
  int result = gipc_try_put(h, block, it->put % 7 == 0 ? sizeof block : 9);
  if (it->end_out != 0)
    CHECK_IS(result, it->end_out);
  else if (result == 0)
    it->put++;
  else if (result != -EAGAIN) {
    CHECK(result == -EPIPE || result == GIPC_EPROTOCOL ||
          result == -ECONNRESET);
    it->end_out = result;
  }
}

/* Uses h while the peer lies, kills the peer, and uses h until it ends. */
static struct results use_until_its_end(gipc_handle *h, pid_t peer,
                                        size_t memory) {
  struct results it = {0};
  int status;
  for (int i = 0; i < 50; i++) {
    try_get(h, &it, i % 10 == 0 ? 0.001 : 0);
    try_put(h, &it);
  }
  kill(peer, SIGKILL);
  CHECK_IS(waitpid(peer, &status, 0), peer);
  CHECK(WIFSIGNALED(status) || status == 0);
  while (it.end_in == 0)
    try_get(h, &it, 60);
  for (size_t i = 0; it.end_out == 0 && i < 1000000; i++)
    try_put(h, &it);
  CHECK(it.end_out != 0);
  if (!slow())
    CHECK(resident() < memory + most_growth);
  return it;
}

static void report(const char *what, size_t count, const size_t *ends,
                   size_t memory) {
  struct utsname system;
  uname(&system);
  print_message("measured: %zu %s, first seed %ju, Linux %s: %zu ends of the "
                "stream, %zu truncated, %zu protocol errors, %zu too big, %zu "
                "resets; memory grew by %jd KiB\n",
                count, what, (uintmax_t)first_seed(), system.release, ends[0],
                ends[1], ends[2], ends[3], ends[4],
                ((intmax_t)resident() - (intmax_t)memory) / 1024);
}

static void count_end(int end, size_t *ends) {
  ends[end == GIPC_EOF          ? 0
       : end == GIPC_ETRUNCATED ? 1
       : end == GIPC_EPROTOCOL  ? 2
       : end == GIPC_ETOOBIG    ? 3
                                : 4]++;
}

/* ---- Bytes that are no frames -------------------------------------------- */

static void store_number(unsigned char *to, uint64_t number, int size) {
  for (int i = 0; i < size; i++)
    to[i] = (unsigned char)(number >> 8 * (size - 1 - i));
}

/* A header, true or not, and perhaps some of what it announces. */
static size_t write_frame(unsigned char *to, uint64_t *seed) {
  uint64_t random = random_next(seed);
  size_t size = random >> 32 & 1023, header = 4;
  switch (random % 8) {
  case 0: /* any length, also a negative one */
    store_number(to, random >> 16, 4);
    break;
  case 1: /* any length of 64 bits */
    store_number(to, UINT32_MAX, 4);
    store_number(to + 4, random_next(seed) >> random % 60, 8);
    header = 12;
    break;
  case 2: /* more than comes */
    store_number(to, size + 1 + (random >> 8 & 0xfffffff), 4);
    break;
  default:
    store_number(to, size, 4);
  }
  fill(to + header, size, random);
  return header + size;
}

static void lie(int fd, uint64_t seed) {
  static unsigned char bytes[64 << 10];
  uint64_t kind = random_next(&seed) % 4;
  size_t size = 0, most = random_next(&seed) % sizeof bytes;
  signal(SIGPIPE, SIG_IGN);
  if (kind == 0)
    fill(bytes, size = most, seed);
  else
    while (size < most && size + 2048 < sizeof bytes)
      size += write_frame(bytes + size, &seed);
  (void)write_all(fd, bytes, size);
  if (kind == 2) /* it closes one direction, and stays */
    shutdown(fd, random_next(&seed) % 2 == 0 ? SHUT_RD : SHUT_WR);
  if (kind != 3) /* which reads nothing, and ends */
    for (;;)
      pause();
}

/* H63, H64, H88, H111 */
static void a_peer_that_lies_ends_its_stream_and_no_more(void **state) {
  size_t count = rounds(60, 5000), memory = 0, ends[5] = {0};
  for (size_t i = 0; i < count; i++) {
    gipc_handle *h;
    int s[2];
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    pid_t peer = fork();
    if (peer == 0) {
      close(s[0]);
      lie(s[1], first_seed() + i);
      _exit(0);
    }
    close(s[1]);
    CHECK_OK(gipc_open(s[0], s[0], &h));
    if (i == 0)
      memory = resident();
    count_end(use_until_its_end(h, peer, memory).end_in, ends);
    gipc_handle_free(h);
  }
  report("lying peers", count, ends, memory);
}

/* ---- Shared memory that changes ------------------------------------------ */

/* The rings of this process: their first words, and their sizes. */
static size_t find_rings(uint32_t **rings, size_t *sizes, size_t most) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512];
  unsigned long from, to;
  size_t count = 0;
  CHECK(maps != NULL);
  while (count < most && fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, "memfd:gipc ring") != NULL &&
        sscanf(line, "%lx-%lx rw", &from, &to) == 2) {
      sizes[count] = to - from;
      rings[count++] = (uint32_t *)from; /* NOLINT */
    }
  fclose(maps);
  return count;
}

/* Its size is sealed: else an access of the reader would end it. */
static void try_to_shrink(const uint32_t *ring, size_t size) {
  char path[100];
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx",
           (unsigned long)ring, (unsigned long)ring + size);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) /* who may not open it cannot shrink it */
    CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
}

static void scribble(uint64_t seed) {
  uint32_t *rings[8];
  size_t sizes[8], count = find_rings(rings, sizes, 8);
  uint64_t way = seed % 5; /* one of them, or all */
  CHECK(count > 0);
  for (size_t i = 0; i < count; i++)
    try_to_shrink(rings[i], sizes[i]);
  for (;;) {
    uint64_t random = random_next(&seed);
    size_t which = random % count, line = random >> 8 & 7,
           words = sizes[which] / 4;
    volatile uint32_t *word = &rings[which][line * 16];
    switch (way < 4 ? way : random >> 16 & 3) {
    case 0: /* near to what it is */
      *word += (uint32_t)(random >> 40 & 31);
      break;
    case 1: /* any of the flags */
      *word = (uint32_t)(random >> 40 & 3);
      break;
    case 2:
      *word = (uint32_t)(random >> 32);
      break;
    default: /* the bytes of messages */
      rings[which][1024 + random_next(&seed) % (words - 1024)] =
          (uint32_t)(random >> 32) >> (random >> 20 & 31);
    }
  }
}

static void exchange(gipc_handle *h, bool puts_first) {
  const void *data;
  size_t size;
  for (int i = 0; i < 60; i++) {
    if (puts_first)
      CHECK_OK(gipc_put(h, "hello", 5, 60));
    CHECK_OK(gipc_get(h, 60, &data, &size));
    if (!puts_first)
      CHECK_OK(gipc_put(h, data, size, 60));
  }
}

/* Begins when the parent asks for it, which has all messages then. */
static void exchange_and_scribble(gipc_handle *h, uint64_t seed) {
  sigset_t start;
  int number;
  sigemptyset(&start);
  sigaddset(&start, SIGUSR1);
  sigprocmask(SIG_BLOCK, &start, NULL);
  exchange(h, false);
  sigwait(&start, &number);
  scribble(seed);
}

static gipc_handle *open_ring(int fd) {
  gipc_handle *h;
  CHECK_OK(gipc_open(fd, fd, &h));
  CHECK_OK(gipc_set_transport(h, GIPC_TRANSPORT_RING));
  return h;
}

static void
a_peer_that_changes_shared_memory_ends_its_stream_and_no_more(void **state) {
  size_t count = rounds(30, 2000), memory = 0, ends[5] = {0};
  for (size_t i = 0; i < count; i++) {
    int s[2];
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    pid_t peer = fork();
    if (peer == 0) {
      close(s[0]);
      exchange_and_scribble(open_ring(s[1]), first_seed() + i);
    }
    close(s[1]);
    gipc_handle *h = open_ring(s[0]);
    exchange(h, true);
    CHECK_IS(transport(h, GIPC_READ), GIPC_TRANSPORT_RING);
    CHECK_IS(transport(h, GIPC_WRITE), GIPC_TRANSPORT_RING);
    kill(peer, SIGUSR1);
    if (i == 0)
      memory = resident();
    count_end(use_until_its_end(h, peer, memory).end_in, ends);
    gipc_handle_free(h);
  }
  report("peers that changed shared memory", count, ends, memory);
}

/* ---- No reader ----------------------------------------------------------- */

/* H79 */
static void a_peer_that_stops_reading_costs_the_marks_alone(void **state) {
  static char block[1000];
  for (int ring = 0; ring < (portable() ? 1 : 2); ring++) {
    gipc_handle *r, *w;
    size_t before, accepted = 0;
    if (ring)
      make_ring(&r, &w);
    else
      CHECK_OK(gipc_pipe(&r, &w));
    before = resident();
    for (size_t i = 0; i < many(200000, 20000); i++) {
      int result = gipc_try_put(w, block, sizeof block);
      CHECK(result == 0 || result == -EAGAIN);
      accepted += result == 0;
    }
    print_message(
        "measured: %zu KB accepted on the %s without a reader, memory "
        "grew by %jd KiB\n",
        accepted, ring ? "ring" : "socket",
        ((intmax_t)resident() - (intmax_t)before) / 1024);
    CHECK(accepted < 6000);
    CHECK(slow() || resident() < before + (8 << 20));
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_peer_that_lies_ends_its_stream_and_no_more),
      TEST(a_peer_that_stops_reading_costs_the_marks_alone),
      TEST(a_peer_that_changes_shared_memory_ends_its_stream_and_no_more),
  };
  return _cmocka_run_group_tests("pipe liar", tests, portable() ? 2 : 3, NULL,
                                 NULL);
}
