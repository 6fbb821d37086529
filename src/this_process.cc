// What this process holds through this library, for the rules of fork.
#include "this_process_state.h"

#include "os.h"
#include "sys.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>
#include <utility>

namespace gipc::registry {

State state{};

namespace {

pthread_mutex_t &mutex = state.mutex;
std::atomic<uint64_t> &mutex_generation = state.mutex_generation;
PerProcess<Lists> &lists = state.lists;
PerProcess<Control> &control = state.control;
LoopUse (&loop_uses)[most_loops] = state.loop_uses;
std::atomic<unsigned> &words = state.words;
std::atomic<uint64_t> (&held)[most / word_bits] = state.held;

// The forks of this thread that are under way, and the process that they are
// forks of.  Its child may lock, in the hooks of a runtime, before it knows
// what to close.
struct Forks {
  uint32_t generation;
  unsigned count;
};
thread_local Forks forks_of_thread;

// ---- The lock --------------------------------------------------------------

// The generation that the mutex was made in, and whether it is being made.
// Another thread may have held it when this process was forked, so each
// generation makes its own.
constexpr uint64_t in_making = uint64_t{1} << 32;

void make_mutex() noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  // A thread of low priority that holds it must not be kept from running by
  // one of middle priority while one of high priority waits.
  // Not under an emulator of another byte order: there the kernel does not know
  // the thread that holds it, and glibc then waits indefinitely.
  (void)pthread_mutexattr_setprotocol(&attributes, os::is_emulated()
                                                       ? PTHREAD_PRIO_NONE
                                                       : PTHREAD_PRIO_INHERIT);
  new (&mutex) pthread_mutex_t;
  if (pthread_mutex_init(&mutex, &attributes) != 0) {
    (void)pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_NONE);
    (void)pthread_mutex_init(&mutex, &attributes);
  }
  pthread_mutexattr_destroy(&attributes);
}

void need_mutex(uint32_t now) noexcept {
  uint64_t seen = mutex_generation.load(std::memory_order_acquire);
  while (seen != now) {
    if (seen == (now | in_making)) {
      // Another thread makes it.
      (void)sys::poll(nullptr, 0, 1);
      seen = mutex_generation.load(std::memory_order_acquire);
    } else if (mutex_generation.compare_exchange_weak(seen, now | in_making)) {
      make_mutex();
      mutex_generation.store(now, std::memory_order_release);
      return;
    }
  }
}

bool is_held(unsigned fd) noexcept {
  return (held[fd / word_bits].load(std::memory_order_relaxed) >>
              fd % word_bits &
          1) != 0;
}

void set_bit(int fd, bool on) noexcept {
  auto number = static_cast<unsigned>(fd);
  if (number >= most)
    return;
  unsigned used =
      std::max(words.load(std::memory_order_relaxed), number / word_bits + 1);
  words.store(used, std::memory_order_release);
  uint64_t bit = uint64_t{1} << number % word_bits;
  std::atomic<uint64_t> &word = held[number / word_bits];
  uint64_t old = word.load(std::memory_order_relaxed);
  word.store(on ? old | bit : old & ~bit, std::memory_order_release);
}

void forget_inherited() noexcept {
  if (lists.is_own())
    return;
  unsigned used = words.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < used; ++i)
    held[i].store(0, std::memory_order_relaxed);
  words.store(0, std::memory_order_relaxed);
  for (LoopUse &use : loop_uses)
    use.objects.store(0, std::memory_order_relaxed);
  lists.renew();
}

} // namespace

struct Windows {
  static uint64_t oldest_begin() noexcept {
    uint64_t oldest = lists->changes_end;
    for (const ForkWindow *window = lists->windows; window != nullptr;
         window = window->next_)
      oldest = std::min(oldest, window->begin_);
    return oldest;
  }
  static void remove(const ForkWindow *window) noexcept {
    ForkWindow **link = &lists->windows;
    while (*link != nullptr && *link != window)
      link = &(*link)->next_;
    if (*link != nullptr)
      *link = window->next_;
    if (lists->windows == nullptr) {
      std::free(std::exchange(lists->changes, nullptr));
      lists->changes_room = 0;
      lists->changes_first = lists->changes_end;
      lists->changes_lost = false;
    }
  }
};

namespace {

// Room for one more: of those that no fork needs any more, or new memory.
bool make_room_for_change() noexcept {
  size_t used = lists->changes_end - lists->changes_first;
  if (used < lists->changes_room)
    return true;
  uint64_t oldest = Windows::oldest_begin();
  size_t needed = lists->changes_end - oldest;
  if (needed <= lists->changes_room / 2 && lists->changes_room > 0) {
    std::memmove(lists->changes,
                 lists->changes + (oldest - lists->changes_first),
                 needed * sizeof(Change));
    lists->changes_first = oldest;
    return true;
  }
  constexpr size_t least = 64;
  size_t room = std::max(least, 2 * lists->changes_room);
  sys::ErrnoGuard guard;
  void *memory = std::realloc(lists->changes, room * sizeof(Change));
  if (memory == nullptr)
    return false;
  lists->changes = static_cast<Change *>(memory);
  lists->changes_room = room;
  return true;
}

void note_change(int fd) noexcept {
  // A child that does not know yet what to close, in the hooks of a runtime,
  // has the lists of its parent, which another thread may have been changing.
  if (lists->windows == nullptr || !lists.is_own())
    return;
  if (!make_room_for_change()) {
    lists->changes_lost = true;
    return;
  }
  struct stat info;
  bool known = sys::fstat(fd, &info) == 0;
  lists->changes[lists->changes_end++ - lists->changes_first] = {
      known ? static_cast<uint64_t>(info.st_dev) : 0,
      known ? static_cast<uint64_t>(info.st_ino) : 0, fd, known};
}

} // namespace

void lock() noexcept {
  uint32_t now = generation::current();
  if (mutex_generation.load(std::memory_order_acquire) != now)
    need_mutex(now);
  pthread_mutex_lock(&mutex);
  // A child asks for what is thread-local only here, where it is rare.
  if (!lists.is_own() && (forks_of_thread.count == 0 ||
                          forks_of_thread.generation != lists.owner()))
    forget_inherited();
}

void unlock() noexcept { pthread_mutex_unlock(&mutex); }

// ---- Descriptors -----------------------------------------------------------

Held &Held::operator=(Fd &&fd) noexcept {
  Lock hold;
  reset();
  fd_ = std::move(fd);
  if (fd_) {
    note_change(fd_.get());
    set_bit(fd_.get(), true);
  }
  return *this;
}

Held &Held::operator=(Held &&other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::move(other.fd_);
  }
  return *this;
}

void Held::reset() noexcept {
  if (fd_)
    drop(fd_.release());
}

int Held::release() noexcept {
  Lock hold;
  if (fd_)
    set_bit(fd_.get(), false);
  return fd_.release();
}

void Held::keep_in_child() noexcept {
  Lock hold;
  if (fd_)
    set_bit(fd_.get(), true);
}

int socket_pair(Held &one, Held &other) noexcept {
  Lock hold;
  Fd first, second;
  int error = os::socket_pair(first, second);
  if (error == 0) {
    one = std::move(first);
    other = std::move(second);
  }
  return error;
}

int hold(Fd fd) noexcept {
  Lock hold;
  note_change(fd.get());
  set_bit(fd.get(), true);
  return fd.release();
}

void drop(int fd) noexcept {
  Lock hold;
  note_change(fd);
  set_bit(fd, false);
  Fd(fd).reset();
}

void note_made(int fd) noexcept {
  Lock hold;
  note_change(fd);
}

bool holds(int fd) noexcept {
  Lock hold;
  return fd >= 0 && static_cast<unsigned>(fd) < most &&
         is_held(static_cast<unsigned>(fd));
}

// ---- Entries ---------------------------------------------------------------

// The links of the entries, which are nobody else's business.
struct List {
  static void link(Entry *entry) noexcept {
    entry->generation_ = lists.owner();
    entry->id_ = ++lists->newest_id;
    entry->since_ = os::coarse_now();
    entry->previous_ = nullptr;
    entry->next_ = first(entry->kind_);
    if (entry->next_ != nullptr)
      entry->next_->previous_ = entry;
    first(entry->kind_) = entry;
  }

  static void unlink(Entry *entry) noexcept {
    // An object of another generation is in no list of this process.  A child
    // still has the parent's list while the hooks of a runtime free objects.
    if (entry->generation_ != lists.owner())
      return;
    if (entry->previous_ != nullptr)
      entry->previous_->next_ = entry->next_;
    else
      first(entry->kind_) = entry->next_;
    if (entry->next_ != nullptr)
      entry->next_->previous_ = entry->previous_;
  }

  static Entry *&first(Kind kind) noexcept {
    return lists->first[static_cast<unsigned>(kind)];
  }
  static Entry *next(const Entry *entry) noexcept { return entry->next_; }
};

void Entry::enter() noexcept { List::link(this); }

void Entry::leave() noexcept {
  Lock hold;
  List::unlink(this);
}

Entry *first_entry(Kind kind) noexcept { return List::first(kind); }

Entry *next_entry(const Entry *entry) noexcept { return List::next(entry); }

// ---- Loops -----------------------------------------------------------------

void enter_loop(struct ev_loop *loop) noexcept {
  Lock hold;
  LoopUse *free = nullptr;
  for (LoopUse &use : loop_uses) {
    if (use.objects == 0)
      free = free != nullptr ? free : &use;
    else if (use.loop == loop) {
      ++use.objects;
      return;
    }
  }
  if (free != nullptr) {
    free->loop = loop;
    free->objects.store(1, std::memory_order_release);
  }
}

void leave_loop(struct ev_loop *loop) noexcept {
  Lock hold;
  for (LoopUse &use : loop_uses)
    if (use.objects > 0 && use.loop == loop) {
      --use.objects;
      return;
    }
}

bool on_loop_beside(const struct ev_loop *loop) noexcept {
  Lock hold;
  return std::any_of(
      loop_uses, loop_uses + most_loops,
      [&](const LoopUse &use) { return use.objects > 0 && use.loop != loop; });
}

// ---- Forks ------------------------------------------------------------------

Making::Making() noexcept {
  Lock hold;
  uint64_t *free = std::find(lists->makings, lists->makings + most_makings, 0u);
  if (free != lists->makings + most_makings) {
    place_ = free;
    *place_ = ++lists->newest_making;
  }
}

Making::~Making() {
  Lock hold;
  if (place_ != nullptr)
    *place_ = 0;
}

ForkWindow::ForkWindow() noexcept {
  Lock hold;
  begin_ = lists->changes_end;
  next_ = lists->windows;
  lists->windows = this;
  owner_ = lists.owner();
  if (forks_of_thread.generation != owner_)
    forks_of_thread = {owner_, 0};
  ++forks_of_thread.count;
}

void ForkWindow::close() noexcept {
  if (!is_open_ || owner_ != generation::current())
    return; // in a child
  Lock hold;
  Windows::remove(this);
  --forks_of_thread.count;
  is_open_ = false;
}

void ForkWindow::close_if_settled() noexcept {
  Lock hold;
  bool busy = std::any_of(lists->makings, lists->makings + most_makings,
                          [](uint64_t begun) { return begun != 0; });
  if (!busy && !lists->changes_lost && lists->changes_end == begin_)
    close();
}

int ForkWindow::wait_until_settled() const noexcept {
  if (!is_open_)
    return 0;
  uint64_t until = 0;
  for (bool first_look = true;; first_look = false) {
    if (!first_look)
      (void)sys::poll(nullptr, 0, 1);
    Lock hold;
    if (first_look)
      until = lists->newest_making;
    bool busy = std::any_of(
        lists->makings, lists->makings + most_makings,
        [&](uint64_t begun) { return begun != 0 && begun <= until; });
    if (!busy)
      return lists->changes_lost
                 ? -ENOMEM
                 : static_cast<int>(lists->changes_end - begin_);
  }
}

void ForkWindow::copy(int first, Change *out, int count) const noexcept {
  Lock hold;
  const Change *from = lists->changes + (begin_ + static_cast<uint64_t>(first) -
                                         lists->changes_first);
  std::copy(from, from + count, out);
}

int forget_in_child(const std::vector<int> &keep) noexcept {
  // Without the lock: there is no other thread.  Before it is read: the page of
  // the generation is a new one, which a reading would map for nothing.
  (void)generation::renew();
  int loops = 0; // moved to the front: an array here needs a page of stack more
  for (const LoopUse &use : loop_uses)
    if (use.objects > 0)
      loop_uses[loops++].loop = use.loop;
  for (int fd : keep)
    set_bit(fd, false);
  // Handles have neighbouring numbers: one call closes a run of them.  What is
  // on 0 to 2 is replaced with the child's stdio, not closed.
  unsigned end = words * word_bits;
  for (unsigned fd = 3; fd < end;) {
    if (held[fd / word_bits] == 0) {
      fd = (fd / word_bits + 1) * word_bits;
    } else if (!is_held(fd)) {
      ++fd;
    } else {
      unsigned from = fd;
      while (fd < end && is_held(fd))
        ++fd;
      os::close_range(from, fd - 1);
    }
  }
  forget_inherited();
  return loops;
}

struct ev_loop *inherited_loop(int index) noexcept {
  return loop_uses[index].loop;
}

// ---- The end of a child ----------------------------------------------------

int child_control() noexcept { return control.is_own() ? control->fd : -1; }

void set_child_control(int fd, bool has_lifeline) noexcept {
  control.renew();
  control->fd = fd;
  control->has_lifeline = has_lifeline;
}

bool child_has_lifeline() noexcept {
  return control.is_own() && control->has_lifeline;
}

} // namespace gipc::registry
