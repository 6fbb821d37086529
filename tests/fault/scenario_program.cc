// Programs that use the library: launched, inheriting, serving as a template.
// This program runs itself; see sites.h.
#include "sites.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Started {
  gipc_process *p = nullptr;
  gipc_handle *h = nullptr, *other = nullptr, *r = nullptr, *w = nullptr;
  gipc_options *o = nullptr;
  gipc_template *t = nullptr;

  ~Started() {
    gipc_handle_free(h);
    gipc_handle_free(other);
    gipc_handle_free(r);
    gipc_handle_free(w);
    gipc_options_free(o);
    gipc_template_free(t);
    if (p != nullptr)
      (void)!gipc_process_join(p, 60);
    gipc_process_free(p);
  }
  // The memory of the frame stays open in the program.
  int options() {
    char number[16];
    std::snprintf(number, sizeof number, "%d", sites::shared_fd);
    TRY(gipc_options_new(&o));
    TRY(gipc_options_set_env(o, "GIPC_TEST_SHARED", number));
    return gipc_options_keep_fds(o, &sites::shared_fd, 1);
  }
  int ended_with(int wanted) {
    int code;
    TRY(gipc_process_join(p, 60));
    TRY(gipc_process_exitcode(p, &code));
    if (code == 90 || code == 127 || code == -SIGKILL)
      return sites::failed_in_child;
    CHECK_IS(code, wanted);
    return 0;
  }
};

int echo(gipc_handle *h) {
  const void *data;
  size_t size;
  TRY(gipc_put(h, "text", 4, 60));
  TRY(gipc_get(h, 60, &data, &size));
  CHECK_IS(size, 4);
  return gipc_close(h);
}

int launched() {
  Started it;
  const char *const argv[] = {"/proc/self/exe", "launched", nullptr};
  TRY(it.options());
  TRY(gipc_launch(argv, it.o, &it.p, &it.h));
  TRY(echo(it.h));
  return it.ended_with(0);
}

int inheriting() {
  Started it;
  const char *const argv[] = {"/proc/self/exe", "inheriting", nullptr};
  TRY(it.options());
  TRY(gipc_pipe_duplex(&it.h, &it.other));
  TRY(gipc_pipe(&it.r, &it.w));
  TRY(gipc_options_pass(it.o, "it", it.other));
  TRY(gipc_options_pass(it.o, "second", it.w));
  TRY(gipc_exec_process(argv, it.o, &it.p));
  TRY(echo(it.h));
  return it.ended_with(0);
}

int serving() {
  Started it;
  const char *const argv[] = {"/proc/self/exe", "serving", nullptr};
  TRY(it.options());
  int result = gipc_template_exec(argv, it.o, &it.t);
  if (result == -EOPNOTSUPP && portable())
    return 0;
  TRY(result);
  TRY(gipc_template_start(it.t, nullptr, "\7", 1, nullptr, &it.p));
  return it.ended_with(7);
}

// ---- In the program ---------------------------------------------------------

int answer(gipc_handle *h) {
  const void *data;
  size_t size;
  int result;
  while ((result = gipc_get(h, 60, &data, &size)) == 0)
    if ((result = gipc_put(h, data, size, 60)) != 0)
      break;
  gipc_handle_free(h);
  return result == GIPC_EOF ? 0 : 90;
}

int be_launched() {
  gipc_handle *h;
  return gipc_stdio(&h) == 0 ? answer(h) : 90;
}

int be_inheriting() {
  gipc_handle *h = nullptr, *second = nullptr;
  int error = gipc_inherit("it", &h);
  if (error == 0)
    error = gipc_inherit("second", &second);
  gipc_handle_free(second);
  return error == 0 ? answer(h) : 90;
}

int be_serving() {
  const void *argument;
  size_t size;
  int error = gipc_template_serve(&argument, &size);
  if (error != 0)
    return 90;
  CHECK_IS(size, 1);
  gipc_exit(*static_cast<const char *>(argument));
}

const sites::Scenario scenarios[] = {
    {"launch", launched}, {"inherit", inheriting}, {"serve", serving}};

} // namespace

namespace sites {

const Scenarios program_scenarios{scenarios,
                                  sizeof scenarios / sizeof *scenarios};

const Scenario *program_of(const char *name) {
  static const Scenario programs[] = {{"launched", be_launched},
                                      {"inheriting", be_inheriting},
                                      {"serving", be_serving}};
  for (const Scenario &one : programs)
    if (std::strcmp(one.name, name) == 0)
      return &one;
  return nullptr;
}

} // namespace sites
