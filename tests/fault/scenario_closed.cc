// The same without stdin and stdout, so that new descriptors land
// there; see sites.h.
#include "sites.h"

#include <cstring>
#include <fcntl.h>

namespace {

const sites::Scenario *find(const sites::Scenarios &list, const char *name) {
  for (size_t i = 0; i < list.count; ++i)
    if (std::strcmp(list.first[i].name, name) == 0)
      return &list.first[i];
  CHECK(!"no such scenario");
  return nullptr;
}

int without_stdio(const sites::Scenarios &list, const char *name) {
  const sites::Scenario *scenario = find(list, name);
  sites::FreeLow moved;
  return scenario->run();
}

int pipe_closed() { return without_stdio(sites::pipe_scenarios, "pipe"); }
int descriptors_closed() {
  return without_stdio(sites::ring_scenarios, "descriptors");
}
int ring_closed() { return without_stdio(sites::ring_scenarios, "ring"); }
int function_closed() {
  return without_stdio(sites::start_scenarios, "start_function");
}
int program_closed() {
  return without_stdio(sites::start_scenarios, "start_bare_program");
}
int detach_closed() {
  return without_stdio(sites::end_scenarios, "detach_running");
}
int notify_closed() { return without_stdio(sites::other_scenarios, "notify"); }
int template_closed() {
  return without_stdio(sites::template_scenarios, "template");
}

const sites::Scenario scenarios[] = {{"closed_pipe", pipe_closed},
                                     {"closed_descriptors", descriptors_closed},
                                     {"closed_ring", ring_closed},
                                     {"closed_function", function_closed},
                                     {"closed_program", program_closed},
                                     {"closed_detach", detach_closed},
                                     {"closed_notify", notify_closed},
                                     {"closed_template", template_closed}};

} // namespace

namespace sites {
const Scenarios closed_scenarios{scenarios,
                                 sizeof scenarios / sizeof *scenarios};
}
