// One end of a pipe: moving it in a message, to the process that gets that.
#include "handle.h"
#include "sys.h"

#include <sys/stat.h>

namespace gipc {

// The descriptors of a message, those of its handles first.
struct Handle::Attached {
  int fds[os::most_sent];
  size_t count = 0;
  uint32_t what = 0; // see frame.h

  void add(int fd) noexcept { fds[count++] = fd; }
};

namespace {

// Both ends of a pipe of the system are one file.
bool is_same_socket(int a, int b) noexcept {
  struct stat first, second;
  return sys::fstat(a, &first) == 0 && sys::fstat(b, &second) == 0 &&
         S_ISSOCK(first.st_mode) && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

frame::Kind kind_with(int read, int write, int memory) noexcept {
  if (write < 0)
    return memory < 0 ? frame::reader : frame::reader_in_ring;
  if (read < 0)
    return frame::writer;
  if (is_same_socket(read, write))
    return memory < 0 ? frame::duplex : frame::duplex_in_ring;
  return memory < 0 ? frame::streams : frame::streams_in_ring;
}

} // namespace

// A message cannot bring the end that it is got from.
int Handle::check_move(const Handle &moved) const noexcept {
  bool is_of_this_pipe = &moved == this || (pair_ != 0 && moved.pair_ == pair_);
  return is_of_this_pipe ? -EINVAL : moved.check_pass(true);
}

int Handle::attach(Handle &moved, size_t number, Attached &to) noexcept {
  int memory = -1;
  if (int error = moved.prepare_exec(memory))
    return error;
  int read = moved.fd(GIPC_READ), write = moved.fd(GIPC_WRITE);
  frame::Kind kind = kind_with(read, write, memory);
  if (to.count + frame::descriptors_of(kind) > os::most_sent)
    return -EINVAL;
  to.what |= kind << (8 + 3 * number);
  to.add(read >= 0 ? read : write);
  if (kind == frame::streams || kind == frame::streams_in_ring)
    to.add(write);
  if (memory >= 0)
    to.add(memory);
  return 0;
}

int Handle::attach_all(const Moved &moved, const int *fds, size_t count,
                       Attached &to) noexcept {
  int error = 0;
  for (size_t i = 0; i < moved.count && error == 0; ++i) {
    error = check_move(*moved.handles[i]);
    for (size_t before = 0; before < i; ++before)
      if (moved.handles[before] == moved.handles[i])
        return -EINVAL;
  }
  for (size_t i = 0; i < moved.count && error == 0; ++i)
    error = attach(*moved.handles[i], i, to);
  if (error == 0 && to.count + count > os::most_sent)
    error = -EINVAL;
  for (size_t i = 0; i < count && error == 0; ++i)
    to.add(fds[i]);
  to.what |= static_cast<uint32_t>(to.count);
  return error;
}

int Handle::try_put_moving(const void *data, size_t size, const Moved &moved,
                           const int *fds, size_t count) noexcept {
  if (moved.count == 0)
    return try_put_with(data, size, fds, count);
  int error = check_put();
  error = error != 0 ? error : check_put_with(fds, count);
  // A child that another thread forks meanwhile closes all of it.
  registry::Lock hold;
  Attached attached;
  error = error != 0 ? error : attach_all(moved, fds, count, attached);
  if (error != 0)
    return error;
  int result = sender_.try_put_with(data, size, attached.fds, attached.what);
  if (trace::is_on())
    note_put(result, size);
  for (size_t i = 0; i < moved.count && result == 0; ++i)
    moved.handles[i]->give_to_program();
  return result;
}

int Handle::put_moving(const void *data, size_t size, const Moved &moved,
                       const int *fds, size_t count, Deadline &deadline) {
  if (moved.count == 0)
    return put_with(data, size, fds, count, deadline);
  int result;
  while ((result = try_put_moving(data, size, moved, fds, count)) == -EAGAIN)
    if (int error = flush(deadline))
      return error;
  if (result != 0)
    return result;
  int left = flush(deadline);
  return left == 0 || sender_.end() != 0 ? left : -EINPROGRESS;
}

int Handle::take_handle(Handle *&out) {
  int error = check_open();
  int fds[3];
  frame::Kind kind;
  error = error != 0 ? error : receiver_.take_handle(fds, kind);
  if (error != 0)
    return error;
  bool reads = kind != frame::writer;
  bool writes = kind != frame::reader && kind != frame::reader_in_ring;
  size_t last = frame::descriptors_of(kind) - 1;
  bool two = kind == frame::streams || kind == frame::streams_in_ring;
  Fd first(fds[0]), second(two ? fds[1] : -1),
      memory(frame::is_in_ring(kind) ? fds[last] : -1);
  int to_write = two ? second.get() : first.get();
  error =
      open(reads ? first.get() : -1, writes ? to_write : -1, out, memory.get());
  if (error != 0)
    return error;
  (void)first.release();
  (void)second.release();
  (void)memory.release();
  // The process of the other end does not know whether a handle reads what it
  // puts.
  if (reads)
    out->receiver_.channel().announce_now();
  return 0;
}

} // namespace gipc
