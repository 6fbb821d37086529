/* Several threads that start children from one template. */
#include "support_process.h"

#include <pthread.h>

enum { threads = 4 };

struct work {
  gipc_template *t;
  int number;
  size_t starts;
};

static void *start_many(void *argument) {
  struct work *work = argument;
  for (size_t i = 0; i < work->starts; i++) {
    int code = (int)(i * threads + (size_t)work->number) % 256;
    CHECK_IS(run_from(work->t, return_argument, INT(code), 0, NULL), code);
  }
  return NULL;
}

static void in_threads(gipc_template *t, size_t starts) {
  pthread_t ids[threads];
  struct work works[threads];
  for (int i = 0; i < threads; i++) {
    works[i] = (struct work){t, i, starts};
    CHECK_OK(pthread_create(&ids[i], NULL, start_many, &works[i]));
  }
  for (int i = 0; i < threads; i++)
    CHECK_OK(pthread_join(ids[i], NULL));
}

static void four_threads_start_children_from_one_template(void **state) {
  gipc_template *t = new_template(NULL);
  in_threads(t, many(50, 5));
  in_threads(t, many(200, 10));
  gipc_template_free(t);
}

/* ---- Beside a killer ----------------------------------------------------- */

static void starts_go_on_while_the_template_is_killed(void **state) {
  char path[64], text[4096];
  gipc_template *t = new_template(NULL);
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  if (access(path, R_OK) != 0)
    skip_because("the kernel does not list children");
  for (size_t i = 0; i < many(40, 4); i++) {
    pthread_t ids[threads];
    struct work works[threads];
    /* Without a start in progress: template and spare alone. */
    read_file(path, text, sizeof text);
    for (int k = 0; k < threads; k++) {
      works[k] = (struct work){t, k, 5};
      CHECK_OK(pthread_create(&ids[k], NULL, start_many, &works[k]));
    }
    CHECK_OK(kill((pid_t)strtol(text, NULL, 10), SIGKILL));
    for (int k = 0; k < threads; k++)
      CHECK_OK(pthread_join(ids[k], NULL));
  }
  gipc_template_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(four_threads_start_children_from_one_template),
      TEST(starts_go_on_while_the_template_is_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
