/* The ends of handles that use a ring: closes, kills, and writers that go
 * quiet. */
#include "support_ring.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Ends -----------------------------------------------------------------
 */

static void what_is_in_the_ring_arrives_after_the_writers_close(void **state) {
  gipc_handle *r, *w;
  make_ring(&r, &w);
  for (uint32_t i = 0; i < 1000; i++)
    put_number(w, i);
  OK(gipc_close(w));
  for (uint32_t i = 0; i < 1000; i++)
    get_number(r, i);
  expect_end(r);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void a_put_after_the_readers_close_fails(void **state) {
  for (int inside = 0; inside < 2; inside++) {
    gipc_handle *r, *w;
    make_ring(&r, &w);
    if (inside)
      put_number(w, 1);
    OK(gipc_close(r));
    RESULT(gipc_put(w, "x", 1, 10), -EPIPE);
    gipc_handle_free(r);
    gipc_handle_free(w);
  }
}

static void much_may_follow_the_change_and_the_mark(void **state) {
  static char block[60000];
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  for (int i = 0; i < 12; i++) { /* so that much is read at once */
    OK(gipc_put(w, block, sizeof block, 10));
    OK(gipc_put(w, block, sizeof block, 10));
    OK(gipc_get(r, 10, &data, &size));
    OK(gipc_get(r, 10, &data, &size));
  }
  OK(gipc_set_transport(r, GIPC_TRANSPORT_RING));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  put_number(w, 0);
  get_number(r, 0);
  put_number(w, 1);
  OK(gipc_set_transport(w, GIPC_TRANSPORT_PLAIN));
  OK(gipc_put(w, block, sizeof block, 10));
  put_number(w, 2);
  get_number(r, 1);
  OK(gipc_get(r, 10, &data, &size));
  assert_int_equal(size, sizeof block);
  get_number(r, 2);
  gipc_handle_free(w);
  gipc_handle_free(r);
}

/* Memory that both processes see. */
struct seen {
  _Atomic uint32_t accepted, got;
};
static struct seen *new_seen(void) {
  void *memory = mmap(NULL, sizeof(struct seen), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(memory != MAP_FAILED);
  return memory;
}

static size_t size_of_number(uint32_t number) {
  return 4 + (number % 11 == 0 ? number * 769 % 60000 : number % 200);
}

/* With GIPC_TEST_LONG as many as it takes to meet rare moments. */
static size_t kills(void) {
  return getenv("GIPC_TEST_LONG") != NULL ? 200 : many(50, 10);
}
static const int transports[] = {GIPC_TRANSPORT_PLAIN, GIPC_TRANSPORT_AUTO,
                                 GIPC_TRANSPORT_RING};

/* Any moment of the first messages, where the transport changes, or later. */
static uint32_t random_moment(uint64_t *seed, size_t round, uint32_t last) {
  return random_next(seed) % (round % 2 == 0 ? 60 : last);
}

/* A child that puts numbered messages until it is killed, or until last. */
static pid_t start_writer(int fd, int other, struct seen *seen, uint32_t last,
                          bool quiet, int transport) {
  pid_t pid = fork();
  if (pid != 0)
    return pid;
  static unsigned char block[70000];
  gipc_handle *w;
  close(other);
  CHILD_CHECK(gipc_open(-1, fd, &w) == 0);
  CHILD_CHECK(gipc_set_transport(w, transport) == 0);
  for (uint32_t i = 0; i < last; i++) {
    fill(block, size_of_number(i), i);
    CHILD_CHECK(gipc_put(w, block, size_of_number(i), 60) == 0);
    atomic_store(&seen->accepted, i + 1);
    /* Goes quiet: whatever was put has to arrive without another put. */
    if (quiet && (i % 97 == 0 || i + 1 == last)) {
      double start = now();
      while (atomic_load(&seen->got) <= i && now() - start < 60)
        sched_yield();
      CHILD_CHECK(atomic_load(&seen->got) > i);
    }
  }
  _exit(0);
}

static uint32_t get_all(gipc_handle *r, struct seen *seen, pid_t pid,
                        uint32_t kill_at) {
  const void *data;
  size_t size;
  int result;
  for (uint32_t got = 0;; got++) {
    if (got == kill_at)
      kill(pid, SIGKILL);
    result = gipc_get(r, got % 3 == 0 ? -1 : 60, &data, &size);
    if (result != 0) {
      assert_true(result == GIPC_EOF || result == GIPC_ETRUNCATED);
      return got;
    }
    assert_int_equal(size, size_of_number(got));
    assert_true(filled(data, size, got));
    atomic_store(&seen->got, got + 1);
  }
}

static void read_from_writers(size_t rounds, uint32_t last, bool killing,
                              int transport) {
  struct seen *seen = new_seen();
  uint64_t seed = 42 + (uint64_t)transport;
  size_t killed = 0;
  for (size_t round = 0; round < rounds; round++) {
    gipc_handle *r;
    int s[2], status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    atomic_store(&seen->accepted, 0);
    atomic_store(&seen->got, 0);
    pid_t pid = start_writer(s[1], s[0], seen, last, !killing, transport);
    close(s[1]);
    OK(gipc_open(s[0], -1, &r));
    OK(gipc_set_transport(r, transport));
    uint32_t got = get_all(
        r, seen, pid, killing ? random_moment(&seed, round, last) : UINT32_MAX);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    killed += WIFSIGNALED(status);
    assert_true(killing || status == 0);
    assert_in_range(got, atomic_load(&seen->accepted), last);
    gipc_handle_free(r);
  }
  assert_true(!killing || killed > 0);
  munmap(seen, sizeof *seen);
}

static void all_that_was_accepted_arrives_after_a_kill(void **state) {
  for (int i = 0; i < 3; i++)
    read_from_writers(kills(), 2000, true, transports[i]);
}

static void a_writer_that_goes_quiet_is_heard(void **state) { /* H129 */
  read_from_writers(many(10, 2), 20000, false, GIPC_TRANSPORT_RING);
}

/* Gets until it is killed; awake: without ever waiting. */
static pid_t start_reader(int fd, int other, bool awake, int transport) {
  pid_t pid = fork();
  if (pid != 0)
    return pid;
  gipc_handle *r;
  const void *data;
  size_t size;
  close(other);
  CHILD_CHECK(gipc_open(fd, -1, &r) == 0);
  CHILD_CHECK(gipc_set_transport(r, transport) == 0);
  for (;;)
    if (awake)
      (void)!gipc_try_get(r, &data, &size);
    else
      CHILD_CHECK(gipc_get(r, -1, &data, &size) == 0);
}

static void put_to_killed_readers(int transport) {
  static unsigned char block[70000];
  uint64_t seed = 43 + (uint64_t)transport;
  for (size_t round = 0; round < kills(); round++) {
    gipc_handle *w;
    int s[2], status, result;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    uint32_t kill_at = random_moment(&seed, round, 1000), i = 0;
    pid_t pid = start_reader(s[0], s[1], round % 4 < 2, transport);
    close(s[0]);
    OK(gipc_open(-1, s[1], &w));
    OK(gipc_set_transport(w, transport));
    do {
      if (i == kill_at)
        kill(pid, SIGKILL);
      result = gipc_put(w, block, size_of_number(i), 60);
      i++;
    } while (result == 0);
    RESULT(result, -EPIPE);
    assert_true(i > kill_at);
    RESULT(gipc_put(w, block, 1, 60), -EPIPE);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    gipc_handle_free(w);
  }
}

static void a_put_to_a_killed_reader_fails(void **state) {
  for (int i = 0; i < 3; i++)
    put_to_killed_readers(transports[i]);
}

/* Nothing wakes a reader that is awake, so no call to the system says that it
 * is dead.  H131 */
static void a_reader_killed_while_it_is_awake_is_noticed(void **state) {
  gipc_handle *w;
  int s[2], status, puts = 0, result;
  char byte;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
  pid_t pid = fork();
  if (pid == 0) {
    gipc_handle *r;
    const void *got;
    size_t length;
    close(s[1]);
    CHILD_CHECK(gipc_open(dup(s[0]), -1, &r) == 0);
    CHILD_CHECK(gipc_set_transport(r, GIPC_TRANSPORT_RING) == 0);
    for (int i = 0; i < 6; i++) {
      CHILD_CHECK(gipc_get(r, 60, &got, &length) == 0);
      CHILD_CHECK(write(s[0], "", 1) == 1);
    }
    for (;;)
      pause();
  }
  close(s[0]);
  OK(gipc_open(-1, dup(s[1]), &w));
  OK(gipc_set_transport(w, GIPC_TRANSPORT_RING));
  for (int i = 0; i < 6; i++) {
    put_number(w, 1);
    assert_true(read_all(s[1], &byte, 1));
  }
  assert_int_equal(stats_of(w).transport_out, GIPC_TRANSPORT_RING);
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  while ((result = gipc_put(w, "x", 1, 10)) == 0)
    puts++;
  RESULT(result, -EPIPE);
  assert_in_range(puts, 0, 256);
  close(s[1]);
  gipc_handle_free(w);
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
      TEST(what_is_in_the_ring_arrives_after_the_writers_close),
      TEST(a_put_after_the_readers_close_fails),
      TEST(much_may_follow_the_change_and_the_mark),
      TEST(all_that_was_accepted_arrives_after_a_kill),
      TEST(a_writer_that_goes_quiet_is_heard),
      TEST(a_put_to_a_killed_reader_fails),
      TEST(a_reader_killed_while_it_is_awake_is_noticed),
  };
  if (portable())
    return cmocka_run_group_tests_name("ring ends", plain, NULL, NULL);
  return cmocka_run_group_tests_name("ring ends", tests, NULL, NULL);
}
