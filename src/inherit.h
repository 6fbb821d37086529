// What a program finds at its start: the handles that its parent passed, in
// GIPC_HANDLES, and the stream of a launcher, on stdin and stdout.
//
//   name=FD/DIRECTION@DEVICE:INODE,...   a duplex handle has two entries
//
// Device and inode catch a number that means another file by now, as in a
// grandchild that got the variable but not the descriptors.
#pragma once

#include "gipc.h"

#include <string>

namespace gipc {

class Handle;

namespace inherit {

constexpr const char *variable = "GIPC_HANDLES";

bool valid_name(const char *name) noexcept;
// Adds an entry.  Throws bad_alloc; an error of fstat(2).
int append(std::string &value, const std::string &name, int fd, int direction);
// Takes the handle of this name out of the environment.  Throws bad_alloc.
int take(const char *name, Handle *&out);
// Takes stdin and stdout, and puts others in their place.  Throws bad_alloc.
int take_stdio(Handle *&out);

} // namespace inherit

} // namespace gipc
