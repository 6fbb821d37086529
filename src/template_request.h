// What the template process is asked for: one packet, with descriptors.
//
// Both ends are the same library, on one machine: numbers are as in memory.
#pragma once

#include "options.h"

#include <string>
#include <vector>

namespace gipc {

struct Request {
  enum Kind : int32_t { function, bytes, twin };

  // A descriptor of a handle.
  struct Sent {
    std::string name;
    int fd;
    int direction;
  };

  Kind kind = function;
  int (*target)(struct ev_loop *, void *) = nullptr;
  void *argument = nullptr;
  std::string data; // what argument is to point to, if it is not empty
  // The child's options.  On the way, a descriptor is its index in fds.
  Options options;
  std::vector<Sent> handles;
  std::string cgroup; // of a tree

  // Where a descriptor is wanted, in the child: its index becomes its number.
  void place(const int *numbers) noexcept;
  std::string encode() const;
  // False: it is not from this version of the library, or names a descriptor
  // that is not among the fd_count that came with it.
  bool decode(const void *data, size_t size, int fd_count);
};

} // namespace gipc
