// What fuzz_calls calls its functions with: pipes, what is in them, children.
#pragma once

#include "gipc.h"
#include "support.h"

#include <cerrno>
#include <csignal>
#include <ev.h>
#include <initializer_list>
#include <map>
#include <vector>

namespace calls {

constexpr size_t most_slots = 8, most_children = 2;
constexpr size_t largest = 70000; // bytes of a message

// Requires a result to be one of these.
void one_of(int result, std::initializer_list<int> known,
            int line = __builtin_LINE());

struct Slot;

// The messages of one direction of a pipe.
struct Stream {
  // What goes with a message.
  struct Attached {
    size_t fds;
    std::vector<Slot *> handles;
  };

  uint64_t id = 0; // no other stream has it
  uint64_t put = 0, got = 0;
  uint64_t maybe_put = 0; // more of them, at most
  bool lossy = false;     // its end may come before the last message
  std::map<uint64_t, Attached> attached;
};

std::vector<uint8_t> make(const Stream &stream, uint64_t number);
inline std::vector<uint8_t> make_next(const Stream &stream) {
  return make(stream, stream.put);
}
// The next message of this stream, which then has been got.
void check_next(Stream &stream, const void *data, size_t size);

// One end of a pipe.
struct Slot {
  gipc_handle *h; // null: it was freed, or is in a message or a child
  bool started, may_be_cancelled, ended;
  size_t limit; // of a message
  std::vector<uint8_t> borrowed, into;
  Stream *write, *read;

  Stream &out() const { return *write; }
  Stream &in() const { return *read; }
  size_t queued() const;
  bool is_open(int direction) const {
    int open = gipc_directions(h);
    return open > 0 && (open & direction) != 0;
  }
  // So many messages were put, with this result.
  void put(size_t count, int result);
  // After a put of so many bytes, before which so many were queued: all of the
  // message has been accepted, or nothing of it is queued.
  void require_all_or_nothing(int result, size_t size, size_t before) const;
  void begin(gipc_handle *handle);
};

struct World;

struct Child {
  gipc_process *process;
  pid_t pid;
  int behaviour, code; // the code that it ends with, if nothing kills it
  bool killed, watched;
  World *world;
  Slot *passed;    // or null
  uint64_t to_put; // messages that it puts
};

struct World {
  explicit World(const Input &bytes);
  ~World();
  World(const World &) = delete;
  World &operator=(const World &) = delete;
  // Carries out the next call of the input.
  void call();
  // Puts a new pipe in the place of one.
  void renew(size_t pair);
  void free(Slot &slot);
  void got(Slot &slot, int result, const void *data, size_t size);
  void take_attached(Slot &slot, uint64_t number);
  // Gets all that there is, and requires all that was put.
  void end();

  Slot *slot_of(const gipc_handle *handle);
  Child *child_of(const gipc_process *process);

  Input input;
  struct ev_loop *loop;
  gipc_wait_set *set = nullptr;
  int depth = 0;
  uint64_t last_id = 0;
  Slot slots[most_slots]{};
  Stream streams[most_slots];
  Child children[most_children]{};
  size_t child_count = 0;

private:
  Slot &peer_of(const Slot &slot) {
    return slots[static_cast<size_t>(&slot - slots) ^ 1];
  }
  uint64_t received() const;
  void settle(Slot &slot);
  void drain(Slot &slot);
  void drain_child(const Child &child);
  void require_all() const;
};

extern const gipc_events push_events;

// Calls with more than one object.
void put_moving(World &world, Slot &slot);
void put_fds(World &world, Slot &slot);
void pass(World &world, Slot &slot);
void use_child(World &world, Child &child);
// One that would not end.
void kill_child(Child &child);
// Waits for its end; nothing is left of it.
void end_child(Child &child);

} // namespace calls
