// Every system call, every allocation and every transfer of each scenario fails
// once, at each place that makes it, in the parent and in the child: a clear
// error or all that was asked for, nothing is left, and the next attempt works.
//
// GIPC_TEST_LONG=1: in each scenario, with each error that the call can have,
// instead of once in all of them with one error.
// GIPC_TEST_SITES: a file that gets the places.  GIPC_TEST_COUNT: a file that
// gets the number of calls, of which none fails.
#include "sites.h"

#include <cstring>
#include <string>
#include <vector>

namespace {

const sites::Scenario &scenario_of(void **state) {
  return *static_cast<const sites::Scenario *>(*state);
}

void calls(void **state) { sites::each_call_fails(scenario_of(state)); }
void allocations(void **state) {
  sites::each_allocation_fails(scenario_of(state));
}
void transfers(void **state) {
  sites::each_transfer_is_short(scenario_of(state));
}

int setup(void **state) {
  test_setup(state);
  deadline(3000); // of hundreds of runs, each of which has its own
  return 0;
}

struct Group {
  const char *name;
  void (*test)(void **state);
} const groups[] = {
    {"calls", calls}, {"allocations", allocations}, {"transfers", transfers}};

} // namespace

int main(int argc, char **argv) {
  const char *memory = std::getenv("GIPC_TEST_SHARED");
  if (argc > 1 && memory != nullptr) {
    sites::open_shared(std::atoi(memory));
    return sites::run_program(*sites::program_of(argv[1]));
  }
  std::vector<CMUnitTest> tests;
  std::vector<std::string> names;
  names.reserve(1000);
  for (const sites::Scenarios *list :
       {&sites::pipe_scenarios, &sites::ring_scenarios, &sites::push_scenarios,
        &sites::start_scenarios, &sites::end_scenarios, &sites::other_scenarios,
        &sites::program_scenarios, &sites::tree_scenarios,
        &sites::template_scenarios, &sites::pool_scenarios,
        &sites::closed_scenarios, &sites::state_scenarios})
    for (size_t i = 0; i < list->count; ++i) {
      const sites::Scenario &scenario = list->first[i];
      const char *only = std::getenv("GIPC_TEST_ONLY");
      if (only != nullptr && std::strcmp(only, scenario.name) != 0)
        continue;
      const char *file = std::getenv("GIPC_TEST_COUNT");
      // strace cannot tell what a program does before it is this library's.
      if (file != nullptr && list != &sites::program_scenarios)
        sites::count_calls(scenario, file);
      for (const Group &group : groups) {
        names.push_back(std::string(scenario.name) + "_" + group.name);
        tests.push_back({names.back().c_str(), group.test, setup, test_end,
                         const_cast<sites::Scenario *>(&scenario)});
      }
    }
  if (std::getenv("GIPC_TEST_COUNT") != nullptr)
    return 0;
  // The macro takes an array.
  int failed = _cmocka_run_group_tests("sites", tests.data(), tests.size(),
                                       nullptr, nullptr);
  sites::print_total();
  return failed;
}
