// The sockets between a parent and its function child: one for the start gate,
// one for the child's records and the lifeline of a daemon.
//
// Nothing is sent to a lifeline: the kernel may signal a message after it has
// been read, and the child takes each signal for the death of its parent.
#pragma once

#include "fd.h"
#include "this_process.h"

#include <cstdint>
#include <vector>

namespace gipc::control {

struct Record {
  enum Kind : int32_t { none, begun, failed, ended, born, root, tree, swept };
  int32_t kind;
  // failed: -errno; ended: the exit code; born: the process ID of a child of a
  // template, which the template and the child both send.  Of a tree, root: the
  // process ID of its root; at its end, tree: the wait status of the root, and
  // swept: how many processes were killed.
  int32_t value;
  // failed: a Part; ended: GIPC_ENDED_...; root: GIPC_TREE_...; tree: how many
  // processes were left; swept: the memory of the root.
  int32_t how;
};

// The child must not end before its parent holds a descriptor of it: a reaper
// elsewhere could make its pid mean another process.  It learns here what was
// registered and closed while it was forked.  -EPIPE: it has ended already.
int open_gate(int parent_end, const registry::ForkWindow &window) noexcept;
// The same for a child that has no copies of this process's descriptors.
int open_gate(int parent_end) noexcept;
// A child that waits at the gate ends there, also one that may not be killed.
void close_gate(int parent_end) noexcept;
// Waits for it; false when the parent gave up or died.
bool pass_gate(int child_end, const std::vector<int> &keep) noexcept;

// Never raises SIGPIPE, never blocks.  -EPIPE: the parent has closed its end.
int send(int child_end, const Record &record) noexcept;
// To the parent, which may wait for it: if it cannot be sent, the stream ends.
void send_begun(int child_end) noexcept;
// A part of a record, which the next call continues.
struct Partial {
  unsigned char bytes[sizeof(Record)];
  size_t size = 0;
};
// Does not wait.  The number of records, up to count; -EAGAIN when there is
// none yet, -EPIPE when none will come.
int receive(int parent_end, Record *out, int count, Partial &part) noexcept;

} // namespace gipc::control
