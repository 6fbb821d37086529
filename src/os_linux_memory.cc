// Linux: memory that processes share by a descriptor.
#include "os_common.h"

#include "sys.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

// Names that older kernel and C library headers lack.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8 // Linux 6.3
#endif

namespace gipc::os {

namespace {

// MFD_CLOEXEC, MFD_ALLOW_SEALING
constexpr unsigned usual = 1 | 2;
constexpr int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

int open_memory(unsigned flags) noexcept {
  return sys::retry_int("memfd_create", [&] {
    return ::syscall(SYS_memfd_create, "gipc ring", usual | flags);
  });
}

// A file that would exceed this limit raises SIGXFSZ, which ends the process.
bool is_allowed(size_t size) noexcept {
  rlimit limit;
  int error = sys::retry_int("getrlimit",
                             [&] { return ::getrlimit(RLIMIT_FSIZE, &limit); });
  return error == 0 && size <= limit.rlim_cur;
}

} // namespace

const bool has_shared_memory = true;

int make_shared_memory(size_t size, Fd &out) noexcept {
  if (!is_allowed(size))
    return -EFBIG;
  int fd = open_memory(MFD_NOEXEC_SEAL);
  if (fd == -EINVAL) // an older kernel
    fd = open_memory(0);
  if (fd < 0)
    return fd;
  Fd memory(fd);
  int error = sys::above_stdio(memory);
  // Not ftruncate(2), after which a page that cannot be had raises SIGBUS.
  if (error == 0)
    error = sys::retry_int("fallocate", [&] {
      return ::fallocate(memory.get(), 0, 0, static_cast<off_t>(size));
    });
  if (error == 0)
    error = sys::retry_int(
        "fcntl", [&] { return ::fcntl(memory.get(), F_ADD_SEALS, seals); });
  if (error == 0)
    out = std::move(memory);
  return error;
}

int map_shared_memory(int fd, size_t most, void *&out, size_t &size) noexcept {
  int found = sys::retry_int("fcntl", [&] { return ::fcntl(fd, F_GET_SEALS); });
  if (found < 0)
    return found;
  struct stat info;
  if (int error = sys::fstat(fd, &info))
    return error;
  struct statfs system;
  int error = sys::retry_int("fstatfs", [&] { return ::fstatfs(fd, &system); });
  if (error != 0)
    return error;
  // Not hugetlbfs, where a page that cannot be had raises SIGBUS.
  if ((found & seals) != seals || system.f_type != TMPFS_MAGIC ||
      info.st_size <= 0 || static_cast<uint64_t>(info.st_size) > most)
    return -EINVAL;
  auto length = static_cast<size_t>(info.st_size);
  void *memory = nullptr;
  error = sys::retry_int("mmap", [&] {
    memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, fd, 0);
    return memory == MAP_FAILED ? -1 : 0;
  });
  if (error != 0)
    return error;
  error = keep_at_fork(memory, length, false);
  if (error != 0) {
    ::munmap(memory, length);
    return error;
  }
  out = memory;
  size = length;
  return 0;
}

// ---- What a reader knows ----------------------------------------------------

namespace {

// In the abstract namespace, which is no file.  The number of the socket makes
// the name unique.
constexpr char knows_no_rings[] = "\0gipc socket ",
               knows_little_endian[] = "\0gipc reader ",
               knows_big_endian[] = "\0gipc bigend ";
// The numbers in a ring are in the order of the machine.  An emulated program
// may have the other one.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr auto &knows_rings = knows_little_endian;
constexpr auto &knows_other_rings = knows_big_endian;
#else
constexpr auto &knows_rings = knows_big_endian;
constexpr auto &knows_other_rings = knows_little_endian;
#endif
constexpr size_t announced_size = sizeof knows_no_rings - 1;
static_assert(sizeof knows_rings == sizeof knows_no_rings &&
                  sizeof knows_other_rings == sizeof knows_no_rings,
              "one size for all");

} // namespace

int announce_reader(int fd, Knows what) noexcept {
  struct stat info;
  if (int error = sys::fstat(fd, &info))
    return error;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path,
              what == Knows::descriptors_and_rings ? knows_rings
                                                   : knows_no_rings,
              announced_size);
  int digits = std::snprintf(name.sun_path + announced_size, 20, "%llx",
                             static_cast<unsigned long long>(info.st_ino));
  auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + announced_size +
                             static_cast<size_t>(digits));
  return sys::retry_int("bind", [&] {
    return ::bind(fd, reinterpret_cast<sockaddr *>(&name), size);
  });
}

Knows announced_by_peer(int fd) noexcept {
  sockaddr_un name;
  socklen_t size = sizeof name;
  int error = sys::retry_int("getpeername", [&] {
    return ::getpeername(fd, reinterpret_cast<sockaddr *>(&name), &size);
  });
  if (error != 0 || size <= offsetof(sockaddr_un, sun_path) + announced_size ||
      name.sun_family != AF_UNIX)
    return Knows::nothing;
  if (std::memcmp(name.sun_path, knows_rings, announced_size) == 0)
    return Knows::descriptors_and_rings;
  for (const char *known : {knows_no_rings, knows_other_rings})
    if (std::memcmp(name.sun_path, known, announced_size) == 0)
      return Knows::descriptors;
  return Knows::nothing;
}

// ---- Forks ------------------------------------------------------------------

int keep_at_fork(void *memory, size_t size, bool on) noexcept {
  return sys::retry_int("madvise", [&] {
    return ::madvise(memory, size, on ? MADV_DOFORK : MADV_DONTFORK);
  });
}

// ---- Of a process -----------------------------------------------------------

int resident_memory(pid_t pid, uint64_t &bytes) noexcept {
  if (int error = check_proc())
    return error == -ENOENT ? -EOPNOTSUPP : error;
  char path[sizeof "/proc/2147483647/statm"], text[128];
  std::snprintf(path, sizeof path, "/proc/%d/statm", static_cast<int>(pid));
  Fd file(sys::retry_int("open",
                         [&] { return ::open(path, O_RDONLY | O_CLOEXEC); }));
  if (file.get() < 0)
    return file.release();
  int size = sys::retry_int("read", [&] {
    return static_cast<int>(::read(file.get(), text, sizeof text - 1));
  });
  if (size < 0)
    return size;
  text[size] = '\0';
  unsigned long long pages;
  if (std::sscanf(text, "%*u %llu", &pages) != 1)
    return -EINVAL;
  bytes = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return 0;
}

} // namespace gipc::os
