// The policies of a pool and of a keeper: each scenario of
// tests/pool, where pool.tsv describes the lines.
//
// GIPC_TEST_SCENARIO=WORDS: only scenarios with these words in their name.
#include <fstream> // before cmocka, which defines fail
#include <sstream>

#include "support.h"

#include "capi_policy.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace gipc::policy;

namespace {

std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);)
    out.push_back(part);
  return out;
}

// ---- Rules ------------------------------------------------------------------

using Setters = std::map<std::string, std::function<void(const std::string &)>>;

template <typename T> auto number(T &member) {
  return [&member](const std::string &text) {
    member = static_cast<T>(std::stod(text));
  };
}

// Sets name=value; the words from the first one on.
void set(const Setters &setters, const std::vector<std::string> &words,
         size_t first = 0) {
  for (size_t i = first; i < words.size(); ++i) {
    std::vector<std::string> pair = split(words[i], '=');
    auto setter = setters.find(pair[0]);
    if (setter == setters.end() || pair.size() != 2)
      fail_msg("no such rule: %s", words[i].c_str());
    else
      setter->second(pair[1]);
  }
}

gipc_rules rules_of(const std::string &text) {
  const std::map<std::string, int> restarts = {
      {"always", GIPC_RESTART_ALWAYS},
      {"on_failure", GIPC_RESTART_ON_FAILURE},
      {"never", GIPC_RESTART_NEVER}};
  gipc_rules rules{};
  rules.size = sizeof rules;
  for (const std::string &word : split(text, ' ')) {
    std::vector<std::string> pair = split(word, '=');
    assert_int_equal(pair.size(), 2);
    auto found = restarts.find(pair[1]);
    double value = found != restarts.end() ? found->second : std::stod(pair[1]);
    assert_int_equal(gipc_rules_set(&rules, pair[0].c_str(), value), 0);
  }
  return rules;
}

PoolRules pool_rules(const std::string &text) {
  PoolRules out;
  gipc_rules rules = rules_of(text);
  assert_int_equal(gipc::read_pool_rules(&rules, out), 0);
  return out;
}

ServiceRules service_rules(const std::string &text) {
  ServiceRules out;
  uint64_t seed;
  gipc_rules rules = rules_of(text);
  assert_int_equal(gipc::read_service_rules(&rules, out, seed), 0);
  return out;
}

Strategy strategy(const std::string &text) {
  if (text.find("rest_for_one") != std::string::npos)
    return Strategy::rest_for_one;
  return text.find("all_for_one") != std::string::npos ? Strategy::all_for_one
                                                       : Strategy::one_for_one;
}

// ---- Actions as text --------------------------------------------------------

std::string text_of(double time) {
  std::ostringstream out;
  out << time;
  return time == forever ? "forever" : out.str();
}

std::string ended_text(const Action &action) {
  std::ostringstream out;
  if (action.worker != no_id)
    out << " worker=" << action.worker;
  if (action.error != 0)
    out << " error=" << action.error;
  else if (action.exit.signal != 0)
    out << " signal=" << action.exit.signal;
  else if (action.exit.size != 0)
    out << " exit=" << action.exit.code;
  return out.str();
}

std::string text_of(const Action &action, bool keeper) {
  std::ostringstream out;
  out << name(action.kind);
  switch (action.kind) {
  case Action::Kind::start:
    out << ' ' << action.worker;
    if (keeper)
      out << " service=" << action.service;
    break;
  case Action::Kind::send:
    out << ' ' << action.task << " to " << action.worker
        << " attempt=" << action.attempt;
    break;
  case Action::Kind::dump:
  case Action::Kind::stop:
  case Action::Kind::kill:
    out << ' ' << action.worker << ' ' << name(action.why);
    break;
  case Action::Kind::finish:
    out << ' ' << action.task << ' ' << name(action.why)
        << " attempt=" << action.attempt << ended_text(action);
    break;
  case Action::Kind::gave_up:
  case Action::Kind::finished:
  case Action::Kind::reloaded:
  case Action::Kind::reload_failed:
    if (keeper)
      out << " service=" << action.service;
    out << ' ' << name(action.why) << ended_text(action);
    break;
  case Action::Kind::none:
  case Action::Kind::drained:
  case Action::Kind::stopped:
    break;
  }
  return out.str();
}

const char *text_of_result(int result) {
  switch (result) {
  case -EAGAIN:
    return "again";
  case -ENOENT:
    return "gone";
  case -EINVAL:
    return "invalid";
  case GIPC_ECLOSED:
    return "closed";
  case GIPC_EPROTOCOL:
    return "protocol";
  case GIPC_ELOCKED:
    return "locked";
  case GIPC_EDEAD:
    return "dead";
  }
  return "unknown";
}

// ---- Events -----------------------------------------------------------------

struct Policy {
  std::unique_ptr<Pool> pool;
  std::unique_ptr<Keeper> keeper;
};

double argument(const std::vector<std::string> &words, size_t at) {
  assert_true(at < words.size());
  return std::stod(words[at]);
}

gipc_exit_info exit_of(const std::vector<std::string> &words) {
  gipc_exit_info info{};
  info.size = sizeof info;
  set({{"exit", number(info.code)}, {"signal", number(info.signal)}}, words, 2);
  if (info.signal != 0)
    info.code = -1;
  return info;
}

// The events that both have.
template <typename T>
bool common_event(T &policy, const std::vector<std::string> &words, double now,
                  int &result) {
  if (words[0] == "tick" || words[0] == "next_time")
    return true;
  Id worker =
      words.size() > 1 ? static_cast<Id>(std::atoll(words[1].c_str())) : no_id;
  int pid = static_cast<int>(worker) + 1000;
  if (words[0] == "started" || words[0] == "up")
    result = policy.started(worker, pid, now);
  if (words[0] == "ready" || words[0] == "up")
    result = policy.ready(worker, now);
  else if (words[0] == "start_failed")
    result =
        policy.start_failed(worker, static_cast<int>(argument(words, 2)), now);
  else if (words[0] == "alive")
    result = policy.alive(worker, now);
  else if (words[0] == "ended")
    result = policy.ended(worker, exit_of(words), now);
  else
    return words[0] == "started";
  return true;
}

int event(Pool &pool, const std::vector<std::string> &words, double now) {
  int result = 0;
  if (common_event(pool, words, now, result))
    return result;
  if (words[0] == "submit") {
    TaskRules rules;
    Id task;
    set({{"priority", number(rules.priority)},
         {"timeout", number(rules.timeout)},
         {"retries", number(rules.retries)},
         {"retry_for", number(rules.retry_for)}},
        words, 1);
    return pool.submit(rules, task);
  }
  if (words[0] == "stop") {
    pool.stop(argument(words, 1), now);
    return 0;
  }
  Id id = static_cast<Id>(argument(words, 1));
  if (words[0] == "cancel")
    return pool.cancel(id, now);
  if (words[0] == "answered")
    return pool.answered(id, words.size() == 2, now);
  if (words[0] == "misbehaved")
    return pool.misbehaved(id, now);
  if (words[0] == "refused")
    return pool.refused(id, static_cast<Id>(argument(words, 2)),
                        words.size() == 3 ? -EPIPE : -EAGAIN, now);
  if (words[0] == "memory")
    return pool.memory(id, static_cast<uint64_t>(argument(words, 2)), now);
  fail_msg("no such event of a pool: %s", words[0].c_str());
  return 0;
}

int event(Keeper &keeper, const std::vector<std::string> &words, double now) {
  int result = 0;
  if (common_event(keeper, words, now, result))
    return result;
  if (words[0] == "reload")
    return keeper.reload(static_cast<size_t>(argument(words, 1)), now);
  if (words[0] != "stop")
    fail_msg("no such event of a keeper: %s", words[0].c_str());
  keeper.stop(now);
  return 0;
}

// What happened after an event, as in the last column.
template <typename T>
std::string run(T &policy, const std::string &text, double now, bool keeper) {
  std::vector<std::string> words = split(text, ' ');
  std::string out;
  int result = event(policy, words, now);
  if (result != 0)
    out = std::string("= ") + text_of_result(result);
  Action action;
  for (int count = 0; policy.next(now, action); ++count) {
    assert_true(count < 100); // it must come to an end
    out += (out.empty() ? "" : "; ") + text_of(action, keeper);
  }
  return words[0] == "next_time" ? text_of(policy.next_time()) : out;
}

// ---- Scenarios --------------------------------------------------------------

struct Scenario {
  std::string file, name, kind, rules;
  std::vector<ServiceRules> services;
  std::vector<std::pair<int, std::vector<std::string>>>
      lines; // number, columns
};

void read(const std::string &name, std::vector<Scenario> &out) {
  std::ifstream file(SCENARIOS "/" + name);
  assert_true(file.is_open());
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#')
      continue;
    std::vector<std::string> columns = split(line, '\t');
    columns.resize(3);
    if (columns[0] == "scenario") {
      out.emplace_back();
      out.back().file = name;
      out.back().name = columns[1];
    } else if (columns[0] == "pool" || columns[0] == "keeper") {
      out.back().kind = columns[0];
      out.back().rules = columns[1];
    } else if (columns[0] == "service") {
      out.back().services.push_back(service_rules(columns[1]));
    } else {
      out.back().lines.emplace_back(number, columns);
    }
  }
}

std::vector<Scenario> scenarios() {
  std::vector<Scenario> out;
  read("pool.tsv", out);
  read("pool_ahead.tsv", out);
  read("keeper.tsv", out);
  return out;
}

int play(const Scenario &scenario) {
  Policy policy;
  int bad = 0;
  if (scenario.kind == "pool")
    policy.pool = std::make_unique<Pool>(pool_rules(scenario.rules));
  else
    policy.keeper = std::make_unique<Keeper>(strategy(scenario.rules),
                                             scenario.services, 0);
  for (const auto &[number, columns] : scenario.lines) {
    double now = std::stod(columns[0]);
    std::string got = policy.pool ? run(*policy.pool, columns[1], now, false)
                                  : run(*policy.keeper, columns[1], now, true);
    if (got == columns[2])
      continue;
    print_error("%s:%d: %s\n  %s, %s\n  expected: %s\n  got:      "
                "%s\n",
                scenario.file.c_str(), number, scenario.name.c_str(),
                columns[0].c_str(), columns[1].c_str(), columns[2].c_str(),
                got.c_str());
    ++bad;
  }
  return bad;
}

void every_scenario_has_the_actions_that_it_lists(void **) {
  const char *only = std::getenv("GIPC_TEST_SCENARIO");
  int bad = 0, played = 0;
  for (const Scenario &scenario : scenarios())
    if (only == nullptr || scenario.name.find(only) != std::string::npos) {
      bad += play(scenario);
      ++played;
    }
  assert_int_equal(bad, 0);
  assert_true(only != nullptr || played > 40);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(every_scenario_has_the_actions_that_it_lists),
  };
  return cmocka_run_group_tests_name("pool_scenarios", tests, nullptr, nullptr);
}
