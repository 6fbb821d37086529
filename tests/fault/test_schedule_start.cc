// Starts, their errors, the status of a child, and the end of its stream, in
// orders of the calls of parent and child that are rare by themselves (H113).
#include "support_process.h"
#include "support_schedule.h"

#include "sys.h"

#include <cstring>

namespace {

const char *own_path; // of this program

// ---- Children ---------------------------------------------------------------

int end_with_7(struct ev_loop *, void *) { return 7; }

int put_two(struct ev_loop *, void *h) {
  auto *w = static_cast<gipc_handle *>(h);
  return gipc_put(w, "one", 3, -1) == 0 && gipc_put(w, "two", 3, -1) == 0 &&
                 gipc_close(w) == 0
             ? 7
             : 1;
}

void expect_message(gipc_handle *r, const char *text) {
  const void *data = nullptr;
  size_t size = 0;
  CHECK_OK(gipc_get(r, -1, &data, &size));
  CHECK(size == std::strlen(text) && std::memcmp(data, text, size) == 0);
}

int get_two(struct ev_loop *, void *h) {
  auto *r = static_cast<gipc_handle *>(h);
  const void *data;
  size_t size;
  expect_message(r, "one");
  expect_message(r, "two");
  CHECK_IS(gipc_get(r, -1, &data, &size), GIPC_EOF);
  return 7;
}

// This program, executed.
int run_program() {
  gipc_handle *h = nullptr;
  const void *data;
  size_t size;
  schedule::resume();
  CHECK_OK(gipc_inherit("pipe", &h));
  CHECK_OK(gipc_get(h, -1, &data, &size));
  CHECK_OK(gipc_put(h, data, size, -1));
  CHECK_IS(gipc_get(h, -1, &data, &size), GIPC_EOF);
  gipc_handle_free(h);
  return 9;
}

void ended(gipc_process *p, int code, int how) {
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.code, code);
  CHECK_IS(info.signal, 0);
  CHECK_IS(info.how, GIPC_STATUS_FROM_WAIT);
  CHECK_IS(info.ended, how);
  gipc_process_free(p);
}

gipc_options *passing(const char *name, gipc_handle *h) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_pass(o, name, h));
  return o;
}

// ---- Starts -----------------------------------------------------------------

void a_function_starts_and_ends() {
  ended(start(end_with_7, nullptr, nullptr), 7, GIPC_ENDED_RETURN);
}

void a_start_whose_setup_fails_is_an_error() {
  gipc_options *o = new_options();
  gipc_process *p = nullptr;
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_start_process(end_with_7, nullptr, o, &p), -ENOENT);
  CHECK(p == nullptr && !has_children());
  gipc_options_free(o);
}

void a_start_with_a_lifeline_succeeds() {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_daemon(o, 1));
  ended(start(end_with_7, nullptr, o), 7, GIPC_ENDED_RETURN);
  gipc_options_free(o);
}

void a_start_of_no_program_is_an_error() {
  const char *argv[] = {"/does/not/exist", nullptr};
  gipc_process *p = nullptr;
  CHECK_IS(gipc_exec_process(argv, nullptr, &p), -ENOENT);
  CHECK(p == nullptr && !has_children());
}

void a_program_gets_and_puts() {
  gipc_handle *mine, *its;
  CHECK_OK(gipc_pipe_duplex(&mine, &its));
  gipc_options *o = passing("pipe", its);
  const char *argv[] = {own_path, "program", nullptr};
  gipc_process *p = nullptr;
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_OK(gipc_put(mine, "x", 1, -1));
  expect_message(mine, "x");
  gipc_handle_free(mine);
  ended(p, 9, GIPC_ENDED_UNKNOWN);
  gipc_options_free(o);
}

// ---- Ends of streams, statuses ----------------------------------------------

void what_a_child_put_is_read_to_its_end() {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_options *o = passing(nullptr, w);
  gipc_process *p = start(put_two, w, o);
  expect_message(r, "one");
  expect_message(r, "two");
  CHECK_IS(gipc_get(r, -1, &data, &size), GIPC_EOF);
  gipc_handle_free(r);
  ended(p, 7, GIPC_ENDED_RETURN);
  gipc_options_free(o);
}

void what_is_put_before_a_close_is_read_by_a_child() {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_options *o = passing(nullptr, r);
  gipc_process *p = start(get_two, r, o);
  CHECK_OK(gipc_put(w, "one", 3, -1));
  CHECK_OK(gipc_put(w, "two", 3, -1));
  CHECK_OK(gipc_close(w));
  gipc_handle_free(w);
  ended(p, 7, GIPC_ENDED_RETURN);
  gipc_options_free(o);
}

int put_until_closed(struct ev_loop *, void *h) {
  int result = 0;
  while (result == 0)
    result = gipc_put(static_cast<gipc_handle *>(h), "text", 4, -1);
  return result == -EPIPE ? 7 : 1;
}

void a_put_beside_the_close_of_its_reader_ends() {
  gipc_handle *r, *w;
  CHECK_OK(gipc_pipe(&r, &w));
  gipc_options *o = passing(nullptr, w);
  gipc_process *p = start(put_until_closed, w, o);
  expect_message(r, "text");
  CHECK_OK(gipc_close(r));
  gipc_handle_free(r);
  ended(p, 7, GIPC_ENDED_RETURN);
  gipc_options_free(o);
}

// Its end and a signal come in either order.
void a_stop_beside_the_end_has_one_status() {
  gipc_process *p = start(end_with_7, nullptr, nullptr);
  CHECK_OK(gipc_process_stop(p, 100));
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.how, GIPC_STATUS_FROM_WAIT);
  if (info.signal != 0)
    CHECK_IS(info.signal, SIGTERM);
  else
    CHECK_IS(info.code, 7);
  gipc_process_free(p);
}

// A child that is watched by is_alive() alone ends once.
void a_child_is_alive_until_its_status_is_known() {
  gipc_process *p = start(end_with_7, nullptr, nullptr);
  int code = 4711, alive;
  while ((alive = gipc_process_is_alive(p)) == 1)
    ;
  CHECK_IS(alive, 0);
  CHECK_OK(gipc_process_exitcode(p, &code));
  CHECK_IS(code, 7);
  ended(p, 7, GIPC_ENDED_RETURN);
}

// ---- Tests ------------------------------------------------------------------

#define SCENARIOS(run)                                                         \
  run(a_function_starts_and_ends);                                             \
  run(a_start_whose_setup_fails_is_an_error);                                  \
  run(a_start_with_a_lifeline_succeeds);                                       \
  run(what_a_child_put_is_read_to_its_end);                                    \
  run(what_is_put_before_a_close_is_read_by_a_child);                          \
  run(a_stop_beside_the_end_has_one_status)
#define ALL_SCENARIOS(run)                                                     \
  SCENARIOS(run);                                                              \
  run(a_child_is_alive_until_its_status_is_known);                             \
  run(a_start_of_no_program_is_an_error);                                      \
  run(a_program_gets_and_puts);                                                \
  run(a_put_beside_the_close_of_its_reader_ends)

#define BY_SEEDS(scenario) schedule::by_seeds(#scenario, scenario)
#define IN_EACH_ORDER(scenario) schedule::in_each_order(#scenario, scenario)

void starts_and_ends_are_right_with_every_seed(void **) {
  ALL_SCENARIOS(BY_SEEDS);
}

void starts_and_ends_are_right_in_each_order(void **) {
  SCENARIOS(IN_EACH_ORDER);
}

} // namespace

int main(int argc, char **argv) {
  own_path = argv[0];
  if (argc > 1 && std::strcmp(argv[1], "program") == 0)
    return run_program();
  const struct CMUnitTest tests[] = {
      SCHEDULE_TEST(starts_and_ends_are_right_with_every_seed),
      SCHEDULE_TEST(starts_and_ends_are_right_in_each_order),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
