// libev watchers with one owner.
//
// A watch never outlives its loop: when the loop is destroyed first, loop_gone
// is called, from within ev_loop_destroy(), and the watch is inactive from then
// on.  Callbacks may destroy the watch.
#pragma once

#include <memory>
#include <sys/types.h>

struct ev_loop;

namespace gipc {

// What one handle needs of its loop.
class HandleWatch {
public:
  struct Events {
    void (*readable)(void *) noexcept;
    void (*writable)(void *) noexcept;
    void (*turn_ends)(void *) noexcept; // once, after want_turn_end()
    void (*backlog)(void *) noexcept;   // each turn, while wanted
    void (*loop_gone)(void *) noexcept;
  };

  // read_fd or write_fd may be -1.  Throws bad_alloc.
  HandleWatch(struct ev_loop *loop, int read_fd, int write_fd,
              const Events &events, void *owner);
  ~HandleWatch();
  void want_read(bool on) noexcept;
  void want_write(bool on) noexcept;
  void want_turn_end() noexcept;
  void want_backlog(bool on) noexcept;
  // The number of the loop's iteration.
  unsigned iteration() const noexcept;
  bool wants_write() const noexcept;
  // In a forked child: the loop must not be touched any more.
  void forget() noexcept;

private:
  struct Watchers;
  std::unique_ptr<Watchers> watchers_;
};

// The end of one process, and the time of its stop sequence.
class ProcessWatch {
public:
  struct Events {
    void (*ended)(void *) noexcept; // exit_fd is readable, or time to look
    void (*reaped)(void *, int wait_status) noexcept; // by the default loop
    void (*grace_over)(void *) noexcept;
    void (*loop_gone)(void *) noexcept;
  };

  // exit_fd -1: looks again and again.  Throws bad_alloc.
  ProcessWatch(struct ev_loop *loop, pid_t pid, int exit_fd,
               const Events &events, void *owner);
  ~ProcessWatch();
  void start_grace(double seconds) noexcept;
  void forget() noexcept;

private:
  struct Watchers;
  std::unique_ptr<Watchers> watchers_;
};

// The next time of something that is driven on a loop, and the end of an
// iteration.
class TimeWatch {
public:
  struct Events {
    void (*turn_ends)(void *) noexcept; // once, after want_turn_end(true)
    void (*time_came)(void *) noexcept;
    void (*loop_gone)(void *) noexcept;
  };

  // Throws bad_alloc.
  TimeWatch(struct ev_loop *loop, const Events &events, void *owner);
  ~TimeWatch();
  void want_turn_end(bool on) noexcept;
  // Seconds from now; infinite: at no time.
  void set_time(double seconds) noexcept;
  void forget() noexcept;

private:
  struct Watchers;
  std::unique_ptr<Watchers> watchers_;
};

} // namespace gipc
