/* Threads that make, use and free handles and processes, while others look at
 * all of them and trace them. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_bool over;
static atomic_ulong looks;

static int check_handle(const gipc_handle_entry *entry, void *user) {
  CHECK(entry->id > 0 && entry->age >= 0);
  CHECK(entry->queued < 1u << 30 && entry->unread < 1u << 30);
  return 0;
}
static int check_process(const gipc_process_entry *entry, void *user) {
  CHECK(entry->pid > 0 && entry->name[0] != 0);
  return 0;
}

static void *look(void *argument) {
  while (!over) {
    CHECK_OK(gipc_each_handle(check_handle, NULL));
    CHECK_OK(gipc_each_process(check_process, NULL));
    looks++;
  }
  return NULL;
}

static void use_pipe(size_t messages, int transport) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  char text[100] = "";
  CHECK_OK(gipc_pipe(&r, &w));
  int result = gipc_set_transport(w, transport);
  CHECK(result == 0 || result == -EOPNOTSUPP); /* elsewhere than on Linux */
  for (size_t i = 0; i < messages; i++) {
    CHECK_OK(gipc_put(w, text, i % sizeof text, 60));
    CHECK_OK(gipc_get(r, 60, &data, &size));
  }
  gipc_handle_free(messages % 2 ? r : w);
  gipc_handle_free(messages % 2 ? w : r);
}

static void *use(void *argument) {
  size_t rounds = many(200, 20);
  for (size_t i = 0; i < rounds || looks < 3; i++)
    use_pipe(i % 50, i % 2 ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN);
  return NULL;
}

static void *start_processes(void *argument) {
  for (size_t i = 0; i < many(20, 3); i++) {
    gipc_process *p = execute(NULL, "true", NULL);
    CHECK_IS(end_of(p), 0);
  }
  return NULL;
}

static void all_threads(void) {
  pthread_t threads[4];
  void *(*const bodies[])(void *) = {use, use, start_processes, look};
  over = false;
  looks = 0;
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], NULL), 0);
  for (int i = 0; i < 4; i++) {
    over = i == 3;
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  }
}

static void looking_disturbs_no_thread(void **state) { all_threads(); }

static void tracing_disturbs_no_thread(void **state) {
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  OK(gipc_trace(null));
  close(null);
  all_threads();
  OK(gipc_trace(-1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(looking_disturbs_no_thread),
      TEST(tracing_disturbs_no_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
