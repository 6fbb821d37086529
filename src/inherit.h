// The handles of a program at its start: those that its parent passed, in
// GIPC_HANDLES, and the stream of a launcher, on stdin and stdout.
//
//   name=FD/DIRECTION@DEVICE:INODE,...   a duplex handle has two entries
//
// r is the descriptor to read, w to write; m is the memory of a ring, from
// which the reader reads on.
//
// Device and inode detect a descriptor number that means another file, as in a
// grandchild that inherited the variable but not the descriptors.
#pragma once

#include "gipc.h"

#include <string>

namespace gipc {

class Handle;

namespace inherit {

constexpr const char *variable = "GIPC_HANDLES";

bool valid_name(const char *name) noexcept;
// In the place of a direction: the memory of a ring.
constexpr int memory = 0;
// Adds an entry.  Throws bad_alloc.  Returns 0 or an error of fstat(2).
int append(std::string &value, const std::string &name, int fd, int direction);
// Makes this the variable of this process; nothing for an empty value.
int set(const std::string &value) noexcept;
// Makes the handle of this name, and removes its entries from the environment.
// Throws bad_alloc.
int adopt(const char *name, Handle *&out);
// The same for a descriptor that is not a stream: stores its number.
int take(const char *name, int &fd);
// Makes a handle of stdin and stdout, and replaces both.  Throws bad_alloc.
int adopt_stdio(Handle *&out);

} // namespace inherit

} // namespace gipc
