/* Children killed by SIGKILL at a random byte of a transfer, on each transport:
 * the reader gets an exact prefix and a clean end, the writer an error.  With
 * GIPC_TEST_LONG, 200 children on each, in transfers of 1 GiB. */
#include "support_ring.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/utsname.h>

enum { largest = 1 << 20 };

static size_t rounds(void) {
  return getenv("GIPC_TEST_LONG") != NULL ? 200 : many(8, 2);
}
static uint64_t whole(void) {
  return getenv("GIPC_TEST_LONG") != NULL ? UINT64_C(1) << 30 : 16 << 20;
}

static const int transports[] = {GIPC_TRANSPORT_PLAIN, GIPC_TRANSPORT_RING};
static const char *const names[] = {"socket", "ring"};

/* The words of a message are its number and their place. */
static uint64_t block[largest / 8];

static size_t size_of(uint32_t number) {
  uint64_t seed = number + 1;
  uint64_t random = random_next(&seed);
  return number % 4 == 0 ? 8 * (random % 64 + 1)
                         : 8 * (random % (largest / 8) + 1);
}

static void fill_message(uint32_t number) {
  size_t count = size_of(number) / 8;
  for (size_t i = 0; i < count; i++)
    block[i] = (uint64_t)number << 32 | i;
}

static bool is_message(const void *data, size_t size, uint32_t number) {
  const unsigned char *bytes = data;
  if (size != size_of(number))
    return false;
  for (size_t i = 0; i < size / 8; i++) {
    uint64_t word;
    memcpy(&word, bytes + 8 * i, 8);
    if (word != ((uint64_t)number << 32 | i))
      return false;
  }
  return true;
}

/* In memory that parent and child see. */
static struct seen {
  _Atomic uint32_t accepted; /* messages that the child has put */
  _Atomic uint32_t got;      /* or got */
} * seen;

/* Until it is killed. */
static int put_in_child(struct ev_loop *fresh, void *w) {
  for (uint32_t i = 0;; i++) {
    fill_message(i);
    CHECK_OK(gipc_put(w, block, size_of(i), -1));
    atomic_store(&seen->accepted, i + 1);
  }
  return 0;
}

static int get_in_child(struct ev_loop *fresh, void *r) {
  const void *data;
  size_t size;
  for (uint32_t i = 0;; i++) {
    CHECK_OK(gipc_get(r, -1, &data, &size));
    CHECK(is_message(data, size, i));
    atomic_store(&seen->got, i + 1);
  }
  return 0;
}

static gipc_process *start_with(target_function target, gipc_handle *h) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, NULL, h));
  gipc_process *p = start(target, h, o);
  gipc_options_free(o);
  return p;
}

static void make_pipe(gipc_handle **r, gipc_handle **w, int wanted) {
  CHECK_OK(gipc_pipe(r, w));
  CHECK_OK(gipc_set_transport(*r, wanted));
  CHECK_OK(gipc_set_transport(*w, wanted));
}

static void expect_killed(gipc_process *p) {
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.signal, SIGKILL);
  gipc_process_free(p);
}

/* Kills the writer after so many bytes, and returns how many came. */
static uint64_t kill_writer(int wanted, uint64_t kill_at, bool *in_use) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  uint64_t bytes = 0;
  uint32_t got = 0;
  int result;
  make_pipe(&r, &w, wanted);
  gipc_process *p = start_with(put_in_child, w);
  gipc_handle_free(w);
  while ((result = gipc_get(r, 120, &data, &size)) == 0) {
    CHECK(is_message(data, size, got));
    got++;
    if (bytes <= kill_at && bytes + size > kill_at) {
      *in_use = (int)stats_of(r).transport_in == wanted;
      CHECK_OK(gipc_process_kill(p));
    }
    bytes += size;
  }
  CHECK(result == GIPC_EOF || result == GIPC_ETRUNCATED);
  CHECK(got >= atomic_load(&seen->accepted)); /* all that was accepted */
  RESULT(gipc_get(r, 1, &data, &size), result);
  expect_killed(p);
  gipc_handle_free(r);
  return bytes;
}

/* The same for the reader, and the bytes that were put. */
static uint64_t kill_reader(int wanted, uint64_t kill_at, bool *in_use) {
  gipc_handle *r, *w;
  uint64_t bytes = 0;
  uint32_t put = 0;
  int result;
  make_pipe(&r, &w, wanted);
  gipc_process *p = start_with(get_in_child, r);
  gipc_handle_free(r);
  for (;; put++) {
    size_t size = size_of(put);
    fill_message(put);
    if (bytes <= kill_at && bytes + size > kill_at) {
      *in_use = (int)stats_of(w).transport_out == wanted;
      CHECK_OK(gipc_process_kill(p));
    }
    if ((result = gipc_put(w, block, size, 120)) != 0)
      break;
    bytes += size;
  }
  CHECK_IS(result, -EPIPE);
  CHECK(atomic_load(&seen->got) <= put + 1);
  RESULT(gipc_put(w, block, 8, 1), -EPIPE);
  expect_killed(p);
  gipc_handle_free(w);
  return bytes;
}

static void kill_on(int which) {
  const char *given = getenv("GIPC_TEST_SEED");
  uint64_t first = given != NULL ? strtoull(given, NULL, 0) : 42, seed = first;
  uint64_t moved = 0;
  size_t in_use = 0, memory = 0;
  struct utsname system;
  for (size_t i = 0; i < rounds(); i++) {
    bool used = false;
    uint64_t kill_at = random_next(&seed) % whole();
    memset(seen, 0, sizeof *seen);
    moved += i % 2 == 0 ? kill_writer(transports[which], kill_at, &used)
                        : kill_reader(transports[which], kill_at, &used);
    in_use += used;
    if (i == 1)
      memory = resident();
  }
  uname(&system);
  print_message("measured: %zu children killed on the %s, which %zu used at "
                "that moment, %ju MiB moved; seed %ju, Linux %s\n",
                rounds(), names[which], in_use, (uintmax_t)(moved >> 20),
                (uintmax_t)first, system.release);
  /* The first messages of a ring are on the socket. */
  CHECK(in_use > rounds() / 2);
  if (!slow())
    CHECK(resident() < memory + (16 << 20));
}

/* H53, H65, H77 */
static void a_child_killed_in_a_transfer_leaves_an_exact_prefix(void **state) {
  deadline(getenv("GIPC_TEST_LONG") != NULL ? 3000 : 600);
  for (int which = 0; which < (portable() ? 1 : 2); which++)
    kill_on(which);
}

static int make_seen(void **state) {
  void *memory = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  seen = memory;
  return memory == MAP_FAILED ? -1 : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_child_killed_in_a_transfer_leaves_an_exact_prefix),
  };
  return cmocka_run_group_tests_name("kill transfer", tests, make_seen, NULL);
}
