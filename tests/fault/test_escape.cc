// Exceptions that escape a C++ target, and what is reported of them (H29, H30).
#include "support_process.h"

#include <exception>
#include <fcntl.h>
#include <new>
#include <pthread.h>
#include <stdexcept>

namespace {

void expect(target_function target, int code, int ended) {
  gipc_process *p = start(target, nullptr, nullptr);
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, code);
  CHECK_IS(info.ended, ended);
  CHECK_IS(info.signal, 0);
  gipc_process_free(p);
}

int throw_int(struct ev_loop *, void *) { throw 42; }
int throw_exception(struct ev_loop *, void *) {
  throw std::runtime_error("lost");
}
int throw_bad_alloc(struct ev_loop *, void *) { throw std::bad_alloc(); }

void an_exception_ends_the_child_and_is_reported(void **) {
  expect(throw_int, GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
  expect(throw_exception, GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
  // Must not be mistaken for an allocation failure of the library.
  expect(throw_bad_alloc, GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
}

int unwind(struct ev_loop *, void *) { pthread_exit(nullptr); }

void unwinding_ends_the_child_and_is_reported(void **) {
  expect(unwind, GIPC_EXIT_ESCAPED, GIPC_ENDED_UNWOUND);
}

int fds[2];

struct Marker {
  const char *text;
  ~Marker() {
    if (fds[1] >= 0 && write(fds[1], text, 1) != 1)
      _exit(99);
  }
};

int throw_through(struct ev_loop *, void *) {
  Marker marker{"d"};
  throw 1;
}
int unwind_through(struct ev_loop *, void *) {
  Marker marker{"d"};
  pthread_exit(nullptr);
}

void the_parents_objects_are_not_destroyed_in_the_child(void **) {
  char text[16];
  CHECK_OK(pipe2(fds, O_CLOEXEC));
  {
    Marker parents{"p"};
    static Marker for_ever{"s"}; // H30: its destructor is an exit handler
    expect(throw_through, GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
    expect(unwind_through, GIPC_EXIT_ESCAPED, GIPC_ENDED_UNWOUND);
    CHECK_IS(in_child(return_argument, INT(3), nullptr), 3);
    CHECK(for_ever.text != nullptr);
  }
  close(fds[1]);
  fds[1] = -1; // and not at the end of this program
  read_text(fds[0], text, sizeof text);
  assert_string_equal(text, "ddp");
}

int throw_from_callback(struct ev_loop *fresh, void *) {
  // Caught before libev's C: a child of its own makes no difference.
  try {
    gipc_process *p = start(throw_int, nullptr, nullptr);
    if (end_of(p) != GIPC_EXIT_ESCAPED)
      return 1;
  } catch (...) {
    return 2;
  }
  return 0;
}

void an_exception_in_a_child_of_a_child_is_reported(void **) {
  CHECK_IS(in_child(throw_from_callback, nullptr, nullptr), 0);
}

int rethrow_current(struct ev_loop *, void *) {
  return std::current_exception() != nullptr ? 5 : 6;
}

void a_start_inside_a_catch_block_works(void **) {
  try {
    throw 1;
  } catch (int) {
    CHECK_IS(in_child(rethrow_current, nullptr, nullptr), 5);
    expect(throw_int, GIPC_EXIT_ESCAPED, GIPC_ENDED_EXCEPTION);
  }
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      TEST(an_exception_ends_the_child_and_is_reported),
      TEST(unwinding_ends_the_child_and_is_reported),
      TEST(the_parents_objects_are_not_destroyed_in_the_child),
      TEST(an_exception_in_a_child_of_a_child_is_reported),
      TEST(a_start_inside_a_catch_block_works),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
