// The world of fuzz_calls: its pipes, and what must hold of them.
#include "calls.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace calls {

namespace {

World *current; // the one that callbacks are called in

} // namespace

void one_of(int result, std::initializer_list<int> known, int line) {
  for (int one : known)
    if (result == one)
      return;
  std::fprintf(stderr, "line %d: result %d: %s\n", line, result,
               gipc_strerror(result));
  std::abort();
}

// ---- Pipes ------------------------------------------------------------------

World::World(const Input &bytes) : input(bytes), loop(ev_loop_new(0)) {
  require(loop != nullptr && gipc_wait_set_new(&set) == 0);
  for (size_t i = 0; i < most_slots; ++i) {
    slots[i].write = &streams[i];
    slots[i].read = &streams[i ^ 1];
  }
  current = this;
}

World::~World() {
  gipc_wait_set_free(set);
  ev_loop_destroy(loop);
}

void World::free(Slot &slot) {
  // What is not written yet may be discarded.
  if (slot.h != nullptr && (slot.queued() > 0 || !slot.borrowed.empty()))
    slot.out().lossy = true;
  // The loop may have written it.
  slot.out().maybe_put += slot.borrowed.empty() ? 0 : 1;
  gipc_handle_free(slot.h);
  slot.begin(nullptr);
  slot.borrowed.clear();
  slot.into.clear();
}

namespace {

void open_pair(size_t kind, gipc_handle *&a, gipc_handle *&b) {
  int fds[2];
  switch (kind) {
  case 0:
    require(gipc_pipe(&a, &b) == 0);
    break;
  case 1: // without the library's knowledge of the other end
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    require(gipc_open(fds[0], fds[0], &a) == 0);
    require(gipc_open(fds[1], fds[1], &b) == 0);
    break;
  case 2:
    require(pipe2(fds, O_CLOEXEC) == 0);
    require(gipc_open(fds[0], -1, &a) == 0);
    require(gipc_open(-1, fds[1], &b) == 0);
    break;
  default:
    require(gipc_pipe_duplex(&a, &b) == 0);
  }
}

// So that it is full after a few messages.
void make_small(const gipc_handle *h) {
  int fd = gipc_fd(h, GIPC_WRITE), least = 1;
  if (fd >= 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least) < 0)
    (void)fcntl(fd, F_SETPIPE_SZ, least);
}

} // namespace

void World::renew(size_t pair) {
  Slot &a = slots[2 * pair], &b = slots[2 * pair + 1];
  for (Child &child : children)
    if (child.passed == &a || child.passed == &b)
      return; // it is being used there
  for (Stream &stream : streams)
    for (auto &message : stream.attached)
      for (Slot *moved : message.second.handles)
        if (moved == &a || moved == &b)
          return;
  free(a);
  free(b);
  for (size_t i : {2 * pair, 2 * pair + 1}) {
    streams[i] = Stream();
    streams[i].id = ++last_id;
  }
  gipc_handle *first, *second;
  size_t kind = input.below(10);
  open_pair(kind % 5, first, second);
  if (kind >= 5) {
    make_small(first);
    make_small(second);
  }
  a.begin(first);
  b.begin(second);
  int transport = static_cast<int>(input.below(3));
  one_of(gipc_set_transport(first, transport), {0, -EOPNOTSUPP});
  one_of(gipc_set_transport(second, transport), {0, -EOPNOTSUPP});
}

Slot *World::slot_of(const gipc_handle *handle) {
  for (Slot &slot : slots)
    if (slot.h == handle)
      return &slot;
  return nullptr;
}

Child *World::child_of(const gipc_process *process) {
  for (Child &child : children)
    if (child.process == process)
      return &child;
  return nullptr;
}

// ---- What comes -------------------------------------------------------------

namespace {

void check_end(Slot &slot, int why) {
  one_of(why, {GIPC_EOF, GIPC_ETRUNCATED, GIPC_ETOOBIG});
  require(why != GIPC_ETOOBIG || slot.limit < largest);
  require(why != GIPC_ETRUNCATED || slot.in().lossy);
  require(why != GIPC_EOF || slot.in().lossy || slot.in().got == slot.in().put);
  slot.ended = true;
}

} // namespace

void World::got(Slot &slot, int result, const void *data, size_t size) {
  if (result == 0) {
    require(!slot.ended);
    uint64_t number = slot.in().got;
    // One that is being put may have been written by the loop.
    size_t begun = peer_of(slot).borrowed.empty() ? 0 : 1;
    require(number < slot.in().put + slot.in().maybe_put + begun);
    check_next(slot.in(), data, size);
    take_attached(slot, number);
    return;
  }
  one_of(result, {-EAGAIN, -ETIMEDOUT, GIPC_EOF, GIPC_ETRUNCATED, GIPC_ETOOBIG,
                  GIPC_ELOCKED, GIPC_ECLOSED, GIPC_EDIRECTION, -ECANCELED});
  if (result == -ECANCELED) {
    require(slot.may_be_cancelled);
    slot.may_be_cancelled = false;
  }
  if (result == GIPC_EOF || result == GIPC_ETRUNCATED || result == GIPC_ETOOBIG)
    check_end(slot, result);
}

// Of the message that was got last.
void World::take_attached(Slot &slot, uint64_t number) {
  auto found = slot.in().attached.find(number);
  Stream::Attached attached{};
  if (found != slot.in().attached.end()) {
    attached = found->second;
    slot.in().attached.erase(found);
  }
  bool takes = input.below(3) != 0;
  if (takes || attached.handles.empty()) {
    int fds[GIPC_MOST_FDS];
    int count = gipc_take_fds(slot.h, fds, GIPC_MOST_FDS);
    require(count == static_cast<int>(attached.fds));
    while (count > 0)
      require(::close(fds[--count]) == 0);
  }
  for (Slot *moved : attached.handles) {
    gipc_handle *handle = nullptr;
    if (takes)
      require(gipc_take_handle(slot.h, &handle) == 0);
    moved->begin(handle); // else it will be closed
  }
  gipc_handle *none;
  if (takes || attached.handles.empty())
    one_of(gipc_take_handle(slot.h, &none), {-ENOENT});
}

namespace {

void on_message(gipc_handle *h, const void *data, size_t size, void *user) {
  auto &slot = *static_cast<Slot *>(user);
  require(slot.h == h && slot.started);
  current->got(slot, 0, data, size);
  if (!current->input.at_end() && current->depth < 3) {
    ++current->depth;
    current->call();
    --current->depth;
  }
}

void on_drain(gipc_handle *h, void *user) {
  require(static_cast<Slot *>(user)->h == h);
}

void on_end(gipc_handle *h, int why, void *user) {
  auto &slot = *static_cast<Slot *>(user);
  require(slot.h == h && slot.started);
  slot.put(0, why); // that of a writer
  if (why != -EPIPE)
    check_end(slot, why);
}

} // namespace

const gipc_events push_events = {sizeof push_events, on_message, on_drain,
                                 on_end};

// ---- The end ----------------------------------------------------------------

void World::drain(Slot &slot) {
  const void *data;
  size_t size;
  int result;
  do {
    result = gipc_try_get(slot.h, &data, &size);
    got(slot, result, data, size);
  } while (result == 0);
}

uint64_t World::received() const {
  uint64_t bytes = 0;
  for (const Slot &slot : slots) {
    gipc_stats stats{};
    stats.size = sizeof stats;
    if (slot.h != nullptr && gipc_handle_stats(slot.h, &stats) == 0)
      bytes += stats.bytes_in;
  }
  return bytes;
}

// Ends what is in progress.
void World::settle(Slot &slot) {
  if (!slot.borrowed.empty()) {
    int result = gipc_put_cancel(slot.h);
    one_of(result, {0, 1, -EPIPE, GIPC_ECLOSED});
    slot.put(result == 1 ? 1 : 0, result);
    slot.borrowed.clear();
  }
  if (!slot.into.empty())
    one_of(gipc_get_cancel(slot.h), {0, GIPC_ECLOSED});
  slot.into.clear();
  if (slot.started)
    one_of(gipc_stop(slot.h), {0, GIPC_ECLOSED});
  slot.started = false;
}

// What a child has put before it shut its end down.
void World::drain_child(const Child &child) {
  if (child.passed == nullptr || child.pid == 0)
    return;
  Slot &peer = slots[static_cast<size_t>(child.passed - slots) ^ 1];
  if (peer.h == nullptr || peer.ended || child.passed->out().lossy ||
      peer.limit < largest || !peer.is_open(GIPC_READ))
    return;
  const void *data;
  size_t size;
  int result;
  do {
    result = gipc_get(peer.h, 100, &data, &size);
    require(result != -ETIMEDOUT);
    got(peer, result, data, size);
  } while (result == 0 || result == -ECANCELED);
  require(peer.in().got == peer.in().put);
}

// Each message that was put and not lost has been got.
void World::require_all() const {
  for (size_t i = 0; i < most_slots; ++i) {
    const Slot &writer = slots[i], &reader = slots[i ^ 1];
    if (writer.h != nullptr && reader.h != nullptr && !writer.out().lossy &&
        !reader.ended && gipc_directions(reader.h) > 0) {
      if (writer.out().got != writer.out().put)
        std::fprintf(stderr, "slot %zu: %ju messages of %ju\n", i,
                     static_cast<uintmax_t>(writer.out().got),
                     static_cast<uintmax_t>(writer.out().put));
      require(writer.out().got == writer.out().put);
    }
  }
}

void World::end() {
  for (Slot &slot : slots)
    if (slot.h != nullptr)
      settle(slot);
  uint64_t before;
  do {
    before = received();
    for (Slot &slot : slots) {
      if (slot.h == nullptr)
        continue;
      int result = gipc_flush_step(slot.h);
      one_of(result, {0, -EAGAIN, -EPIPE, GIPC_ECLOSED, GIPC_EDIRECTION});
      slot.put(0, result);
    }
    for (Slot &slot : slots)
      if (slot.h != nullptr)
        drain(slot);
    ev_run(loop, EVRUN_NOWAIT);
  } while (received() > before);
  require_all();
  for (const Child &child : children)
    drain_child(child);
  for (Slot &slot : slots) {
    if (slot.h != nullptr)
      one_of(gipc_close_within(slot.h, 0),
             {0, -ETIMEDOUT, -EPIPE, GIPC_ECLOSED, -ECANCELED});
    free(slot);
  }
  // One may wait for the end of another, which has the other end of its pipe.
  for (Child &child : children)
    kill_child(child);
  for (Child &child : children)
    end_child(child);
}

} // namespace calls
