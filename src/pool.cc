// A pool of workers on a loop.
#include "pool.h"

#include "action.h"
#include "deadline.h"
#include "error.h"
#include "os.h"
#include "policy_message.h"
#include "worker.h"

#include <csignal>

namespace gipc {

namespace {

// The process of a worker ends within this time after its stream, in seconds.
constexpr double linger = 1;

// Of a put: they, and not the stream, are at fault.
bool is_about_descriptors(int error) {
  return error < 0 && error != -EAGAIN && error != -EPIPE &&
         error != -ECONNRESET && error > GIPC_EOF;
}

} // namespace

const Supervisor::Events Pool::supervisor_events = {
    [](void *self) noexcept { return static_cast<Pool *>(self)->next(); },
    [](void *self) noexcept {
      auto &pool = *static_cast<Pool *>(self);
      return std::min(pool.policy_.next_time(), pool.linger_at_);
    },
    [](void *self) noexcept { static_cast<Pool *>(self)->time_came(); },
    [](void *self) noexcept { delete static_cast<Pool *>(self); },
};

// While it exists, the result of its task is at hand.
class Pool::AnswerScope {
public:
  AnswerScope(Pool &pool, const gipc_worker_message &message) noexcept
      : pool_(pool), answer_{pool.answer_, message} {
    pool_.answer_ = &answer_;
  }
  ~AnswerScope() { pool_.answer_ = answer_.outer; }
  AnswerScope(const AnswerScope &) = delete;
  AnswerScope &operator=(const AnswerScope &) = delete;

private:
  Pool &pool_;
  Answer answer_;
};

Pool::Pool(const policy::PoolRules &rules, WorkerCommand &&command)
    : policy_(rules), reports_memory_(rules.retire_memory != 0),
      command_(std::move(command)) {
  if (command_.options.death_signal == 0)
    (void)command_.options.set_daemon(1);
}

// ---- Calls ------------------------------------------------------------------

int Pool::start(struct ev_loop *loop, const gipc_pool_events &events,
                void *user) {
  if (int error = supervisor_.start(loop))
    return error;
  events_ = events;
  user_ = user;
  return 0;
}

int Pool::try_put(const void *data, size_t size, const int *fds, size_t count,
                  policy::TaskRules rules, policy::Id &task) {
  if (int error = usable())
    return error;
  gipc_worker_message message{};
  message.kind = GIPC_MESSAGE_TASK;
  message.data = data;
  message.data_size = size;
  size_t whole = policy::encoded_size(message);
  if (whole == 0 || whole > GIPC_DEFAULT_LIMIT)
    return GIPC_ETOOBIG;
  std::list<Task> added(1);
  Task &it = added.front();
  it.user = rules.user;
  it.size = whole;
  it.message.reset(new unsigned char[whole]);
  if (count > 0)
    if (int error = KeptDescriptors::make(fds, count, it.descriptors))
      return error;
  rules.user = &it;
  if (int error = policy_.submit(rules, message.task))
    return error;
  policy::encode(message, it.message.get());
  tasks_.splice(tasks_.end(), added);
  it.place = std::prev(tasks_.end());
  supervisor_.wake();
  task = message.task;
  return 0;
}

int Pool::cancel(policy::Id task) noexcept {
  if (int error = usable())
    return error;
  supervisor_.wake();
  return policy_.cancel(task, monotonic_now());
}

int Pool::stop(double grace) noexcept {
  if (int error = usable())
    return error;
  policy_.stop(grace, monotonic_now());
  supervisor_.wake();
  return 0;
}

void Pool::free() noexcept { supervisor_.free(); }

// ---- Events of a worker -----------------------------------------------------

PoolWorker *Pool::find(policy::Id id) noexcept {
  auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

// Reports a message to the policy.  True if it is an answer that counts.
bool Pool::receive(PoolWorker &worker, const void *data, size_t size,
                   gipc_worker_message &message) noexcept {
  double now = monotonic_now();
  if (policy::decode(static_cast<const unsigned char *>(data), size, message) !=
      0) {
    (void)policy_.misbehaved(worker.id(), now);
    return false;
  }
  if (policy_.received(worker.id(), message.kind, message.task, now) != 0)
    return false;
  if (message.kind == GIPC_MESSAGE_READY)
    report(worker.id(), GIPC_WORKER_READY, worker.pid(), 0);
  return message.kind == GIPC_MESSAGE_DONE ||
         message.kind == GIPC_MESSAGE_FAILED;
}

void Pool::received(PoolWorker &worker, const void *data,
                    size_t size) noexcept {
  gipc_worker_message message{};
  if (supervisor_.is_freed())
    return;
  if (!receive(worker, data, size, message))
    return supervisor_.run();
  uint64_t bytes;
  if (reports_memory_ && os::resident_memory(worker.pid(), bytes) == 0)
    (void)policy_.memory(worker.id(), bytes, monotonic_now());
  AnswerScope answer(*this, message);
  supervisor_.run_all();
}

// Its process is to end now.  The time.
double Pool::expect_end(PoolWorker &worker) noexcept {
  double now = monotonic_now();
  worker.stream_ended_at = now;
  linger_at_ = std::min(linger_at_, now + linger);
  return now;
}

void Pool::input_ended(PoolWorker &worker) noexcept {
  if (supervisor_.is_freed())
    return;
  (void)expect_end(worker);
  close_input(worker);
  supervisor_.run();
}

void Pool::stream_ended(PoolWorker &worker, int why) noexcept {
  if (supervisor_.is_freed())
    return;
  double now = expect_end(worker);
  if (why == GIPC_EPROTOCOL || why == GIPC_ETOOBIG)
    (void)policy_.misbehaved(worker.id(), now);
  close_input(worker);
  supervisor_.run();
}

// It can read no more.  It has not begun a task that was not written.
void Pool::close_input(PoolWorker &worker) noexcept {
  policy::Id id = worker.id();
  const policy::Worker &has = policy_.worker(policy_.slot_of(id));
  bool unwritten =
      has.task != nullptr && has.ahead.size == 0 && worker.has_unwritten();
  (void)policy_.refused(id, unwritten ? has.task->id : policy::no_id, -EPIPE,
                        monotonic_now());
}

void Pool::ended(PoolWorker &worker) noexcept {
  if (supervisor_.is_freed())
    return;
  policy::Id id = worker.id();
  (void)policy_.refused(id, policy::no_id, -EPIPE, monotonic_now());
  worker.read_rest();
  if (supervisor_.is_freed())
    return;
  close_input(worker);
  (void)policy_.ended(id, worker.exit_info(), monotonic_now());
  report(id, GIPC_WORKER_OFF, worker.pid(), 0);
  supervisor_.run_all();
  if (!supervisor_.is_freed())
    workers_.erase(id);
}

// ---- Time -------------------------------------------------------------------

void Pool::time_came() noexcept {
  double now = monotonic_now();
  if (now < linger_at_)
    return;
  linger_at_ = policy::forever;
  for (auto &[id, worker] : workers_)
    if (now >= worker.stream_ended_at + linger) {
      // If it has ended, this loop was late, and its end follows.
      if (worker.is_alive())
        (void)policy_.misbehaved(id, now);
    } else
      linger_at_ = std::min(linger_at_, worker.stream_ended_at + linger);
}

// ---- Actions ----------------------------------------------------------------

bool Pool::next() noexcept {
  policy::Action action;
  if (!policy_.next(monotonic_now(), action))
    return false;
  if (trace::is_on())
    report_action(action);
  carry_out(action);
  return true;
}

void Pool::carry_out(const policy::Action &action) noexcept {
  using Kind = policy::Action::Kind;
  PoolWorker *worker = find(action.worker);
  switch (action.kind) {
  case Kind::start:
    return start_worker(action.worker);
  case Kind::send:
    return send(action);
  case Kind::dump:
    if (worker != nullptr && supervisor_.dump_signal() != 0)
      worker->signal(supervisor_.dump_signal());
    return;
  case Kind::stop:
    if (worker != nullptr)
      worker->stop(action.task != policy::no_id);
    return;
  case Kind::kill:
    if (worker != nullptr)
      worker->signal(SIGKILL);
    return;
  case Kind::finish:
    return finish(action);
  case Kind::drained:
    if (events_.on_drain != nullptr)
      events_.on_drain(reinterpret_cast<gipc_pool *>(this), user_);
    return;
  case Kind::gave_up:
    why_ = GIPC_WHY_GAVE_UP;
    return;
  case Kind::stopped:
    return end(why_);
  default:
    return; // of keepers
  }
}

void Pool::start_worker(policy::Id id) noexcept {
  int error;
  try {
    PoolWorker &worker = workers_.try_emplace(id, *this, id).first->second;
    error = worker.start(command_, supervisor_.loop());
  } catch (const std::bad_alloc &) {
    error = -ENOMEM;
  }
  PoolWorker *worker = find(id);
  if (error == 0) {
    (void)policy_.started(id, worker->pid(), monotonic_now());
    return report(id, GIPC_WORKER_STARTING, worker->pid(), 0);
  }
  if (worker != nullptr)
    workers_.erase(id);
  (void)policy_.start_failed(id, error, monotonic_now());
  report(id, GIPC_WORKER_OFF, 0, error);
}

void Pool::send(const policy::Action &action) noexcept {
  auto &task = *static_cast<Task *>(action.user);
  task.error = 0;
  policy::set_attempt(task.message.get(), action.attempt);
  int error = find(action.worker)
                  ->send(task.message.get(), task.size, task.descriptors.get());
  if (task.descriptors != nullptr && is_about_descriptors(error))
    fail(action, error);
  else if (error == -ENOMEM || error == GIPC_ETOOBIG)
    (void)policy_.misbehaved(action.worker, monotonic_now());
  else if (error != 0) {
    (void)policy_.refused(action.worker, action.task, error, monotonic_now());
    if (error != -EAGAIN)
      (void)expect_end(*find(action.worker));
  }
}

// The worker has nothing of the task, and answers so to speak.  If it is to
// answer others before, the task waits for that.
void Pool::fail(const policy::Action &action, int error) noexcept {
  double now = monotonic_now();
  const policy::Task *next =
      policy_.worker(policy_.slot_of(action.worker)).task;
  if (next == nullptr || next->id != action.task)
    return (void)policy_.refused(action.worker, action.task, -EAGAIN, now);
  static_cast<Task *>(action.user)->error = error;
  (void)policy_.received(action.worker, GIPC_MESSAGE_FAILED, action.task, now);
}

void Pool::finish(const policy::Action &action) noexcept {
  auto &task = *static_cast<Task *>(action.user);
  gipc_result result{};
  result.size = sizeof result;
  result.why = static_cast<int>(action.why);
  result.task = action.task;
  result.user = task.user;
  result.attempt = static_cast<int>(action.attempt);
  result.worker = action.worker;
  result.pid = action.pid;
  result.error = action.error;
  result.has_info = action.exit.size != 0;
  result.info = action.exit;
  result.info.size = sizeof result.info;
  if (result.has_info)
    if (const PoolWorker *worker = find(action.worker))
      result.last_lines = worker->last_lines();
  for (Answer *at = answer_; at != nullptr; at = at->outer)
    if (at->message.task == action.task) {
      result.data = at->message.data;
      result.data_size = at->message.data_size;
      result.type = at->message.type;
      result.text = at->message.text;
      result.trace = at->message.trace;
    }
  if (task.error != 0 && result.why == GIPC_WHY_FAILED) {
    result.error = task.error;
    result.type = worker::text_of("gipc");
    result.text = worker::text_of(error_text(task.error));
  }
  tasks_.erase(task.place);
  if (events_.on_result != nullptr)
    events_.on_result(reinterpret_cast<gipc_pool *>(this), &result, user_);
}

void Pool::report(policy::Id worker, int state, int pid, int error) noexcept {
  if (events_.on_worker == nullptr)
    return;
  const policy::Life &life = policy_.life(policy_.slot_of(worker));
  gipc_worker_change change{};
  change.size = sizeof change;
  change.state = state;
  change.worker = worker;
  change.pid = pid;
  change.error = error;
  if (state == GIPC_WORKER_OFF) {
    change.why = static_cast<int>(life.why());
    change.has_info = life.exit().size != 0;
    change.info = life.exit();
    change.info.size = sizeof change.info;
    if (const PoolWorker *ended = find(worker))
      change.last_lines = ended->last_lines();
  }
  events_.on_worker(reinterpret_cast<gipc_pool *>(this), &change, user_);
}

void Pool::end(int why) noexcept {
  supervisor_.end();
  if (events_.on_end != nullptr)
    events_.on_end(reinterpret_cast<gipc_pool *>(this), why, user_);
}

} // namespace gipc
