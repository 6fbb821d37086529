// Paths of calls, in memory that all processes of a run share; see sites.h.
#include "sites.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unwind.h>

extern "C" const char __executable_start[], etext[];

namespace sites {

Shared *shared;

int shared_fd = -1;
uintptr_t top;

void open_shared(int fd) {
  void *memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (memory == MAP_FAILED)
    std::abort();
  shared = static_cast<Shared *>(memory);
  shared_fd = fd;
}

void make_shared() {
  int fd = memfd_create("sites", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, sizeof(Shared)) != 0)
    std::abort();
  open_shared(fd);
}

void munmap_shared() {
  munmap(shared, sizeof *shared);
  shared = nullptr;
  close(shared_fd);
}

namespace {

// Up to the function that makes the call through sys or os.
#ifdef __OPTIMIZE__
constexpr int end_of_place = 4;
#else
constexpr int end_of_place = 8;
#endif

struct Frames {
  uint32_t at[Path::most];
  int depth = 0;
};

// Frames of other objects, such as libev, are left out: they do not tell more.
_Unwind_Reason_Code add_frame(_Unwind_Context *context, void *pointer) {
  auto *frames = static_cast<Frames *>(pointer);
  auto address = static_cast<uintptr_t>(_Unwind_GetIP(context));
  if (_Unwind_GetCFA(context) >= top)
    return _URC_END_OF_STACK;
  auto start = reinterpret_cast<uintptr_t>(__executable_start);
  if (address >= start && address < reinterpret_cast<uintptr_t>(etext))
    frames->at[frames->depth++] = static_cast<uint32_t>(address - start);
  return frames->depth == Path::most ? _URC_END_OF_STACK : _URC_NO_REASON;
}

uint64_t hash_of(Kind kind, const char *name, const Frames &frames, int from,
                 int to) {
  uint64_t hash = hash_bytes(kind, name, std::strlen(name));
  for (int i = from; i < frames.depth && i < to; ++i)
    hash = hash_bytes(hash, &frames.at[i], sizeof frames.at[i]);
  return hash | 1; // 0 is none
}

} // namespace

Path *find_path(uint64_t hash) noexcept {
  for (size_t i = hash % Shared::room;; i = (i + 1) % Shared::room) {
    Path &path = shared->paths[i];
    if (path.hash == hash)
      return &path;
    if (path.hash == 0)
      return nullptr;
  }
}

Path &path_of(Kind kind, const char *name) noexcept {
  Frames frames;
  _Unwind_Backtrace(add_frame, &frames);
  bool elsewhere = getpid() != shared->runner;
  uint64_t hash = hash_of(kind, name, frames, 0, Path::most) + 2 * elsewhere;
  for (size_t i = hash % Shared::room;; i = (i + 1) % Shared::room) {
    Path &path = shared->paths[i];
    uint64_t none = 0;
    if (path.hash == hash)
      return path;
    // No lock: a process may be killed here.
    if (!path.hash.compare_exchange_strong(none, hash)) {
      if (none == hash)
        return path;
      continue;
    }
    // The first two are those of the hook.
    path.place = hash_of(kind, name, frames, 2, end_of_place) + 2 * elsewhere;
    std::snprintf(path.name, sizeof path.name, "%s", name);
    path.kind = kind;
    path.in_child = elsewhere;
    path.depth = frames.depth;
    std::memcpy(path.frames, frames.at, sizeof frames.at);
    shared->order[shared->count++] = static_cast<uint16_t>(i);
    return path;
  }
}

int failure_of(Kind kind, const char *name) noexcept {
  if (!shared->on || shared->kind != kind)
    return 0;
  Path &path = path_of(kind, name);
  ++path.hits;
  for (auto &plan : shared->plan) {
    uint64_t hash = path.hash;
    if (plan.hash.compare_exchange_strong(hash, 0)) {
      ++shared->delivered;
      return plan.error;
    }
  }
  return 0;
}

} // namespace sites
