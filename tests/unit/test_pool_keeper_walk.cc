// The policy of a keeper on a random walk: random services, ends, reloads and
// times.  A model of the processes checks each action, and after each event
// that nothing was forgotten.
//
// GIPC_TEST_SEED repeats a round.
#include "support_walk.h"

#include "policy_keeper.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <vector>

using namespace gipc::policy;

namespace {

Seen seen;

struct Process {
  size_t service = 0;
  bool exists = false, ready = false, silent = false;
  bool stopped = false, killed = false;
  Why why = Why::none;
  bool next = false; // of a reload
  double alive_at = 0, dumped_at = 0, stopped_at = 0;
};

struct ModelService {
  bool kept = true, reloads = false, was_started = false;
  double ended_at = -forever;                // by itself
  std::deque<double> restarts;               // times
  Action::Kind expects = Action::Kind::none; // the end that is to be told
  Action::Kind reload_expects = Action::Kind::none;
};

class Model {
public:
  Model(Strategy strategy, const std::vector<ServiceRules> &rules,
        uint64_t seed)
      : strategy_(strategy), rules_(rules), services_(rules.size()),
        keeper_(strategy, rules, seed), random_(seed) {
    carry_out();
  }

  void step();
  void finish_all();
  bool stopped() const { return stopped_; }

private:
  size_t pick(size_t count) { return random_.pick(count); }
  bool chance(size_t one_in) { return random_.chance(one_in); }
  const LifeRules &life_rules(const Process &process) const {
    return rules_[process.service].life;
  }
  size_t count_of(size_t service) const {
    return static_cast<size_t>(std::count_if(
        processes_.begin(), processes_.end(),
        [&](const auto &entry) { return entry.second.service == service; }));
  }
  bool is_ready(size_t service) const {
    return std::any_of(processes_.begin(), processes_.end(),
                       [&](const auto &entry) {
                         const Process &p = entry.second;
                         return p.service == service && p.ready && !p.silent;
                       });
  }
  bool any_after(size_t service) const {
    return std::any_of(
        processes_.begin(), processes_.end(),
        [&](const auto &entry) { return entry.second.service > service; });
  }

  void process_event();
  void became_ready(Process &process);
  void end(Id id, Process &process, bool start_failed);
  void ended_by_itself(size_t service, bool failed);
  void reload();
  void let_time_pass();

  void carry_out();
  void carry_out(const Action &action);
  void start(const Action &action);
  void order(const Action &action);
  void check_stop(const Process &process, Why why);
  void check_nothing_is_forgotten();
  double latest_wake(const Process &process) const;

  Strategy strategy_;
  std::vector<ServiceRules> rules_;
  std::vector<ModelService> services_;
  Keeper keeper_;
  Random random_;
  double now_ = 0;
  bool stopping_ = false, stopped_ = false;
  std::map<Id, Process> processes_; // not ended
  std::set<Id> started_;            // ids of the round
};

// ---- Events -----------------------------------------------------------------

void Model::process_event() {
  auto it = processes_.begin();
  std::advance(it, pick(processes_.size()));
  Id id = it->first;
  Process &process = it->second;
  if (!process.exists) {
    if (chance(10))
      return end(id, process, true);
    CHECK(keeper_.started(id, 1, now_) == 0);
    process.exists = true;
    process.alive_at = now_;
    if (!rules_[process.service].notify && !keeper_.process(id).is_stopping())
      became_ready(process);
  } else if (process.killed || (process.stopped && chance(3)) || chance(20)) {
    end(id, process, false);
  } else if (!process.ready && chance(2)) {
    CHECK(keeper_.ready(id, now_) == 0);
    became_ready(process);
  } else {
    CHECK(keeper_.alive(id, now_) == 0);
    if (process.ready && !process.stopped) {
      process.silent = false;
      process.alive_at = now_;
    }
  }
}

void Model::became_ready(Process &process) {
  if (process.stopped)
    return;
  process.ready = true;
  process.alive_at = now_;
  ModelService &service = services_[process.service];
  if (process.next && service.reloads)
    service.reload_expects = Action::Kind::reloaded;
  process.next = false;
}

void Model::end(Id id, Process &process, bool start_failed) {
  gipc_exit_info info{};
  info.size = sizeof info;
  info.code = static_cast<int>(pick(2));
  bool failed = start_failed || info.code != 0 || process.stopped;
  size_t service = process.service;
  bool is_current = keeper_.life(service).id() == id;
  // Whether it must end: then its end is not counted.
  bool asked = !keeper_.is_kept(service) || keeper_.is_restarting(service);
  bool next_exists = is_current && count_of(service) == 2;
  CHECK((start_failed ? keeper_.start_failed(id, ENOENT, now_)
                      : keeper_.ended(id, info, now_)) == 0);
  processes_.erase(id);
  ModelService &s = services_[service];
  if (s.reloads && (asked || is_current || !next_exists))
    s.reload_expects = is_current && next_exists && !asked
                           ? Action::Kind::reloaded
                           : Action::Kind::reload_failed;
  if (is_current && !asked && !(next_exists && s.reloads))
    ended_by_itself(service, failed);
}

void Model::ended_by_itself(size_t service, bool failed) {
  ModelService &s = services_[service];
  const ServiceRules &rules = rules_[service];
  s.ended_at = now_;
  if (rules.restart == Restart::never ||
      (rules.restart == Restart::on_failure && !failed)) {
    s.expects = Action::Kind::finished;
    return;
  }
  while (!s.restarts.empty() &&
         s.restarts.front() <= now_ - rules.restarts.window)
    s.restarts.pop_front();
  if (rules.restarts.limit != 0 && s.restarts.size() >= rules.restarts.limit)
    s.expects = Action::Kind::gave_up;
  else
    s.restarts.push_back(now_);
}

void Model::reload() {
  size_t service = pick(services_.size());
  if (keeper_.reload(service, now_) != 0)
    return;
  CHECK(!services_[service].reloads && keeper_.is_kept(service));
  services_[service].reloads = true;
}

void Model::let_time_pass() {
  double next = keeper_.next_time();
  if (next < forever && !chance(3))
    now_ = std::max(now_, chance(3) ? next - 0.001 : next);
  else
    now_ += random_.seconds(2);
}

void Model::step() {
  size_t which = pick(100);
  if (which < 70 && !processes_.empty())
    process_event();
  else if (which < 75)
    reload();
  else
    let_time_pass();
  Id nobody = pick(100000);
  if (processes_.count(nobody) == 0)
    CHECK(keeper_.ready(nobody, now_) == -ENOENT);
  carry_out();
}

// ---- Actions ----------------------------------------------------------------

void Model::carry_out() {
  Action action;
  while (keeper_.next(now_, action)) {
    CHECK(!stopped_); // the last action
    seen.count(action);
    carry_out(action);
  }
  check_nothing_is_forgotten();
}

void Model::carry_out(const Action &action) {
  switch (action.kind) {
  case Action::Kind::start:
    return start(action);
  case Action::Kind::dump:
  case Action::Kind::stop:
  case Action::Kind::kill:
    return order(action);
  case Action::Kind::reloaded:
  case Action::Kind::reload_failed: {
    ModelService &service = services_[action.service];
    CHECK(service.reloads && service.reload_expects == action.kind);
    service.reloads = false;
    service.reload_expects = Action::Kind::none;
    for (auto &[id, process] : processes_)
      process.next &= process.service != action.service;
    return;
  }
  case Action::Kind::gave_up:
  case Action::Kind::finished:
    CHECK(services_[action.service].expects == action.kind);
    services_[action.service].expects = Action::Kind::none;
    services_[action.service].kept = false;
    return;
  case Action::Kind::stopped:
    CHECK(processes_.empty());
    for (size_t i = 0; i < services_.size(); ++i)
      CHECK(!keeper_.is_kept(i));
    stopped_ = true;
    return;
  default:
    CHECK(!"an action of a pool");
  }
}

void Model::start(const Action &action) {
  size_t i = action.service;
  ModelService &service = services_[i];
  const RestartRules &restarts = rules_[i].restarts;
  CHECK(started_.insert(action.worker).second);
  CHECK(!stopping_ && service.kept && keeper_.is_kept(i));
  Process process;
  process.service = i;
  // The other process of a reload may still end; only a reload adds one to a
  // process that is not stopped.
  process.next = service.reloads && keeper_.life(i).id() != action.worker;
  CHECK(count_of(i) <= 1);
  for (const auto &[id, p] : processes_)
    CHECK(p.service != i || process.next || p.stopped || !p.exists);
  if (!process.next) {
    CHECK(now_ >= service.ended_at +
                      restarts.first_delay * (1 - restarts.jitter) - 1e-9);
    bool in_order = !service.was_started || strategy_ == Strategy::all_for_one;
    for (size_t earlier = 0; in_order && earlier < i; ++earlier)
      CHECK(!keeper_.is_kept(earlier) || is_ready(earlier));
    if (strategy_ != Strategy::one_for_one && service.was_started)
      CHECK(!any_after(i));
  }
  service.was_started = true;
  processes_[action.worker] = process;
}

void Model::order(const Action &action) {
  CHECK(processes_.count(action.worker) == 1);
  Process &process = processes_[action.worker];
  CHECK(process.exists && !process.killed);
  const LifeRules &rules = life_rules(process);
  if (action.kind == Action::Kind::kill) {
    CHECK(process.stopped && is_over(now_, process.stopped_at, rules.grace));
    process.killed = true;
    return;
  }
  CHECK(!process.stopped);
  if (action.kind == Action::Kind::dump) {
    CHECK(process.ready && is_over(now_, process.alive_at, rules.silence));
    process.silent = true;
    process.dumped_at = now_;
    return;
  }
  check_stop(process, action.why);
  process.stopped = true;
  process.stopped_at = now_;
  process.why = action.why;
}

void Model::check_stop(const Process &process, Why why) {
  const LifeRules &rules = life_rules(process);
  switch (why) {
  case Why::silent:
    CHECK(process.silent && is_over(now_, process.dumped_at, rules.dump));
    break;
  case Why::not_ready:
    CHECK(!process.ready &&
          is_over(now_, process.alive_at, rules.ready_within));
    break;
  case Why::reload:
    // The new one is ready; it may have ended since only if this one did not
    // exist yet.
    CHECK(!process.ready || (count_of(process.service) == 2 &&
                             keeper_.life(process.service).is_ready()));
    break;
  case Why::group:
    CHECK(strategy_ != Strategy::one_for_one && !any_after(process.service));
    break;
  case Why::stopped:
    CHECK(stopping_ && !any_after(process.service));
    break;
  default:
    CHECK(why == Why::gave_up);
    CHECK(strategy_ == Strategy::one_for_one || !any_after(process.service));
  }
}

// ---- After each event
// ---------------------------------------------------------

double Model::latest_wake(const Process &process) const {
  const LifeRules &rules = life_rules(process);
  if (!process.exists || process.killed)
    return forever;
  if (process.stopped)
    return process.stopped_at + rules.grace;
  return process.silent  ? process.dumped_at + rules.dump
         : process.ready ? process.alive_at + rules.silence
                         : process.alive_at + rules.ready_within;
}

void Model::check_nothing_is_forgotten() {
  double next = keeper_.next_time();
  CHECK(next > now_); // else a driver would not wait
  for (const auto &[id, process] : processes_)
    CHECK(next <= latest_wake(process) + 1e-9);
  bool kept = false;
  for (size_t i = 0; i < services_.size(); ++i) {
    CHECK(services_[i].expects == Action::Kind::none);
    CHECK(services_[i].reload_expects == Action::Kind::none);
    kept |= keeper_.is_kept(i);
    // It runs, or something will start it: a time, or an event of another one.
    if (keeper_.is_kept(i) && count_of(i) == 0)
      CHECK(next < forever || !processes_.empty());
    if (strategy_ == Strategy::one_for_one && keeper_.is_kept(i) &&
        count_of(i) == 0 && services_[i].was_started)
      CHECK(next < forever);
  }
  if (!kept && processes_.empty())
    CHECK(stopped_);
}

// A stopped keeper ends, whatever its processes do.
void Model::finish_all() {
  if (stopped_)
    return;
  keeper_.stop(now_);
  stopping_ = true;
  carry_out();
  for (int count = 0; !stopped_; ++count) {
    CHECK(count < 100000);
    if (!processes_.empty() && !chance(4))
      process_event();
    else
      let_time_pass();
    carry_out();
  }
  CHECK(processes_.empty() && keeper_.next_time() == forever);
  for (const ModelService &service : services_)
    CHECK(!service.reloads); // each was answered
}

// ---- Rounds
// -------------------------------------------------------------------

ServiceRules random_rules(Random &random) {
  ServiceRules rules;
  rules.restart = random.pick(8) == 0   ? Restart::never
                  : random.pick(8) == 0 ? Restart::on_failure
                                        : Restart::always;
  rules.notify = random.pick(4) != 0;
  rules.life.ready_within = random.pick(2) != 0 ? forever : random.seconds(5);
  rules.life.silence = random.pick(2) != 0 ? forever : random.seconds(5);
  rules.life.dump = random.pick(4) == 0 ? 0 : random.seconds(1);
  rules.life.grace = random.pick(4) == 0 ? 0 : random.seconds(2);
  rules.restarts.first_delay = random.pick(4) == 0 ? 0 : random.seconds(1);
  rules.restarts.longest_delay = 4;
  rules.restarts.jitter = random.pick(4) == 0 ? 0 : random.seconds(1);
  rules.restarts.limit = random.pick(4) != 0 ? 0 : 3 + unsigned(random.pick(5));
  rules.restarts.window = random.seconds(20);
  assert_null(wrong(rules));
  return rules;
}

void play(uint64_t seed, size_t &done) {
  round_seed = seed;
  std::vector<ServiceRules> rules;
  Random random(seed);
  for (size_t i = 1 + random.pick(4); i > 0; --i)
    rules.push_back(random_rules(random));
  Model model(static_cast<Strategy>(random.pick(3)), rules, random.next());
  for (size_t i = 0; i < 300 && !model.stopped(); ++i, ++done)
    model.step();
  model.finish_all();
}

void check_that_all_was_seen() {
  using Kind = Action::Kind;
  seen.check(Kind::start, {Why::none});
  seen.check(Kind::dump, {Why::none});
  seen.check(Kind::stop, {Why::silent, Why::not_ready, Why::reload, Why::group,
                          Why::stopped, Why::gave_up});
  seen.check(Kind::kill,
             {Why::silent, Why::not_ready, Why::reload, Why::group});
  seen.check(Kind::gave_up, {Why::none, Why::silent, Why::not_ready});
  seen.check(Kind::finished, {Why::none, Why::silent});
  seen.check(Kind::reloaded, {Why::none});
  seen.check(Kind::reload_failed, {Why::none, Why::not_ready, Why::group});
  seen.check(Kind::stopped, {Why::none});
}

void no_event_breaks_a_promise(void **) {
  size_t done = 0, events = many(1000000, 50000);
  if (const char *given = std::getenv("GIPC_TEST_SEED"))
    return play(std::strtoull(given, nullptr, 10), done);
  for (uint64_t seed = 20251126; done < events;)
    play(random_next(&seed), done);
  if (!slow()) // a short walk does not come to all of them
    check_that_all_was_seen();
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(no_event_breaks_a_promise),
  };
  return cmocka_run_group_tests_name("pool_keeper_walk", tests, nullptr,
                                     nullptr);
}
