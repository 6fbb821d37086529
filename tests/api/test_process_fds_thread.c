/* Children that several threads start at once, and each other's descriptors. */
#include "support_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_bool over;
static int allowed[64], allowed_count;

/* Everything but this child's own control socket: 1; more is a leak. */
static int count_foreign(struct ev_loop *fresh, void *argument) {
  int fds[256], extra = 0, count;
  ev_loop_destroy(fresh);
  count = list_fds(fds, 256);
  for (int i = 0; i < count; i++) {
    bool known = false;
    for (int j = 0; j < allowed_count; j++)
      known |= fds[i] == allowed[j];
    extra += known ? 0 : 1;
  }
  return extra;
}

static void *start_programs(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_daemon(o, 1));
  for (int which = 0; which < 3; which++)
    CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_PIPE, -1));
  while (!atomic_load(&over)) {
    gipc_process *p = execute(o, PROGRAM("child_fds"), NULL);
    CHECK_IS(end_of(p), 0);
  }
  gipc_options_free(o);
  return NULL;
}

static void *start_functions(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_daemon(o, 1));
  for (int which = 0; which < 3; which++)
    CHECK_OK(gipc_options_set_stdio(o, which, GIPC_STDIO_PIPE, -1));
  while (!atomic_load(&over))
    CHECK_IS(in_child(return_argument, NULL, o), 0);
  gipc_options_free(o);
  return NULL;
}

static void *make_pipes(void *argument) {
  while (!atomic_load(&over)) {
    gipc_handle *a, *b;
    CHECK_OK(gipc_pipe_duplex(&a, &b));
    gipc_handle_free(a);
    gipc_handle_free(b);
  }
  return NULL;
}

static void while_running(void *(*body)(void *), void (*test)(size_t),
                          size_t count) {
  pthread_t thread;
  not_under_valgrind();
  allowed_count = list_fds(allowed, 64);
  atomic_store(&over, false);
  CHECK_OK(pthread_create(&thread, NULL, body, NULL));
  test(count);
  atomic_store(&over, true);
  CHECK_OK(pthread_join(thread, NULL));
}

static void functions_without_leak(size_t count) {
  size_t leaks = 0;
  for (size_t i = 0; i < count; i++)
    leaks += in_child(count_foreign, NULL, NULL) > 1;
  CHECK_IS((long)leaks, 0);
}

static void programs_without_leak(size_t count) {
  const char *argv[] = {PROGRAM("child_fds"), NULL};
  char text[256];
  for (size_t i = 0; i < count; i++) {
    CHECK_IS(output_of(NULL, argv, text, sizeof text), 0);
    check_at(strcmp(text, "0 1 2 \n") == 0, text, __FILE__, __LINE__);
  }
}

/* H11 */
static void
a_function_child_has_no_descriptor_of_a_program_started_at_the_same_time(
    void **state) {
  while_running(start_programs, functions_without_leak, many(1000, 50));
}

static void
a_function_child_has_no_descriptor_of_another_started_at_the_same_time(
    void **state) {
  while_running(start_functions, functions_without_leak, many(1000, 50));
}

static void a_function_child_has_no_descriptor_of_pipes_made_at_the_same_time(
    void **state) {
  while_running(make_pipes, functions_without_leak, many(500, 50));
}

static void
a_program_has_no_descriptor_of_others_started_at_the_same_time(void **state) {
  while_running(start_functions, programs_without_leak, many(300, 20));
  while_running(start_programs, programs_without_leak, many(300, 20));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(
          a_function_child_has_no_descriptor_of_a_program_started_at_the_same_time),
      TEST(
          a_function_child_has_no_descriptor_of_another_started_at_the_same_time),
      TEST(a_function_child_has_no_descriptor_of_pipes_made_at_the_same_time),
      TEST(a_program_has_no_descriptor_of_others_started_at_the_same_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
