/* Threads that start trees at the same time. */
#include "support_tree.h"

#include <pthread.h>

static void *start_some(void *argument) {
  size_t count = many(20, 3);
  for (size_t i = 0; i < count; i++) {
#ifdef __SANITIZE_THREAD__
    bool program = true; /* TSan has a thread of its own in a function child */
#else
    bool program = i % 2 == 1;
#endif
    struct tree it = start_tree(program, -1, NULL);
    CHECK_OK(gipc_process_stop(it.p, 60));
    CHECK(info_of(it.p).left >= 1);
    tree_is_gone(&it);
    gipc_process_free(it.p);
  }
  return NULL;
}

static int start_in_threads(void *argument) {
  enum { COUNT = 4 };
  pthread_t threads[COUNT];
  if (tested_way == GIPC_TREE_SESSION)
    return 0; /* the test could not tell the trees of its threads apart */
  int fds = count_fds();
  for (int i = 0; i < COUNT; i++)
    CHECK_OK(pthread_create(&threads[i], NULL, start_some, NULL));
  for (int i = 0; i < COUNT; i++)
    CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_IS(count_fds(), fds);
  return 0;
}

static void threads_start_trees_at_the_same_time(void **state) {
  in_each_way(start_in_threads, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(threads_start_trees_at_the_same_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
