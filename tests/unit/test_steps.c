/* The budget that the steps of the languages share: bindings/steps.h (H81). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../bindings/steps.h"

#include <cmocka.h>

enum { MOST = 16, ITERATIONS = 4000 };

/* Only addresses of handles are looked at. */
static char memory[4096][64];
static gipc_handle *handles[MOST];
static gipc_handle *handle(int i) { return handles[i]; }

static size_t got[MOST], most_in_iteration, iteration_bytes;

/* A task that gets messages of a size until it has to yield. */
static void run_task(int i, size_t size) {
  gipc_handle *h = handle(i);
  while (!must_yield(h)) {
    spend(h, size);
    got[i] += size;
    iteration_bytes += size;
  }
  (void)step_yield(h);
}

enum order { SAME, BACK_AND_FORTH, RANDOM };

static void shuffle(int *order, int count) {
  for (int i = count - 1; i > 0; i--) {
    int j = rand() % (i + 1), other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
}

static void run_iterations(enum order order, int count, const size_t *sizes) {
  int tasks[MOST];
  for (int i = 0; i < count; i++)
    tasks[i] = i;
  for (int n = 0; n < ITERATIONS; n++) {
    iteration_bytes = 0;
    if (order == RANDOM)
      shuffle(tasks, count);
    for (int i = 0; i < count; i++) {
      int place = order == BACK_AND_FORTH && n % 2 ? count - 1 - i : i;
      run_task(tasks[place], sizes[tasks[place]]);
    }
    if (n > 2 * count && iteration_bytes > most_in_iteration)
      most_in_iteration = iteration_bytes; /* once it knows who is busy */
  }
}

static void begin(void) {
  for (int i = 0; i < MOST; i++)
    got[i] = 0;
  most_in_iteration = 0;
  busy = yields_of_thread = 0;
  share = BUDGET;
  renew_budget();
  for (int i = 0; i < MOST_SHARES; i++)
    yielded[i].handle = NULL;
}

static void check(enum order order, int count, const size_t *sizes,
                  size_t most) {
  size_t total = 0, least = SIZE_MAX;
  begin();
  run_iterations(order, count, sizes);
  for (int i = 0; i < count; i++) {
    total += got[i];
    least = got[i] < least ? got[i] : least;
  }
  if (most_in_iteration > most || least < total / (size_t)count / 20)
    fail_msg("order %d, %d handles: %zu bytes in an iteration, %zu allowed; "
             "one got %zu of %zu",
             order, count, most_in_iteration, most, least, total);
}

static void
large_messages_of_many_handles_are_not_all_in_one_iteration(void **state) {
  size_t sizes[MOST];
  srand(42);
  for (int i = 0; i < MOST; i++)
    sizes[i] = 1024 * 1024;
  for (int count = 1; count <= MOST; count++) {
    check(SAME, count, sizes, 1024 * 1024);
    /* In orders that change, fewer are known to be busy at times. */
    size_t most = (size_t)(count / 2 + 3) * 1024 * 1024;
    check(BACK_AND_FORTH, count, sizes, most);
    check(RANDOM, count, sizes, most);
  }
}

static void
a_handle_with_large_messages_leaves_the_others_their_share(void **state) {
  size_t sizes[4] = {1024 * 1024, 100, 100, 3000};
  srand(42);
  check(SAME, 4, sizes, 1024 * 1024 + 2 * BUDGET);
  check(BACK_AND_FORTH, 4, sizes, 4 * 1024 * 1024 + 2 * BUDGET);
  check(RANDOM, 4, sizes, 5 * 1024 * 1024 + 2 * BUDGET);
}

/* The first of each other entry, or all of one. */
static void choose_handles(int of_one_entry) {
  int count = 0;
  for (int i = 0; i < 4096 && count < MOST; i++) {
    gipc_handle *h = (gipc_handle *)memory[i];
    int same = 0;
    for (int j = 0; j < count; j++)
      same += entry_of(h) == entry_of(handles[j]);
    if (same == (of_one_entry ? count : 0))
      handles[count++] = h;
  }
  assert_int_equal(count, MOST);
}

static int of_different_entries(void **state) {
  choose_handles(0);
  return 0;
}

static void handles_with_one_entry_all_proceed(void **state) {
  size_t sizes[MOST];
  choose_handles(1);
  for (int i = 0; i < MOST; i++)
    sizes[i] = 1024 * 1024;
  for (int count = 2; count <= MOST; count++)
    check(SAME, count, sizes, SIZE_MAX);
}

static void small_messages_share_the_budget(void **state) {
  size_t sizes[MOST];
  for (int i = 0; i < MOST; i++)
    sizes[i] = 1;
  check(SAME, MOST, sizes, 2 * BUDGET);
}

/* One task gets from one handle, and puts into another. */
static void
a_task_that_forwards_large_messages_yields_once_for_each(void **state) {
  size_t yields = 0;
  begin();
  for (int n = 0; n < 200; n++) {
    gipc_handle *h = handle(n % 2);
    for (; must_yield(h); yields++)
      (void)step_yield(h);
    spend(h, 1024 * 1024);
  }
  assert_in_range(yields, 190, 210);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(
          large_messages_of_many_handles_are_not_all_in_one_iteration,
          of_different_entries),
      cmocka_unit_test_setup(
          a_handle_with_large_messages_leaves_the_others_their_share,
          of_different_entries),
      cmocka_unit_test(handles_with_one_entry_all_proceed),
      cmocka_unit_test_setup(small_messages_share_the_budget,
                             of_different_entries),
      cmocka_unit_test_setup(
          a_task_that_forwards_large_messages_yields_once_for_each,
          of_different_entries),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
