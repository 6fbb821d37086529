// Makes the Nth system call of the library, or the Nth allocation of the
// program, fail; see support_fault.h.
#include "support_fault.h"

#include "sys.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_MALLOC 0
#else
#define OWN_MALLOC 1
#endif
#else
#define OWN_MALLOC 1
#endif

namespace fault {

namespace {

const char *wanted;
int until, left, failures, error_number;
bool alternating, odd;

bool in_list(const char *names, const char *name) {
  size_t size = std::strlen(name);
  for (const char *at = names; (at = std::strstr(at, name)) != nullptr; ++at)
    if ((at == names || at[-1] == ',') && (at[size] == ',' || at[size] == 0))
      return true;
  return false;
}

int on_call(const char *name) noexcept {
  if (wanted != nullptr && !in_list(wanted, name))
    return 0;
  if (alternating) {
    odd = !odd;
    failures += odd ? 1 : 0;
    return odd ? error_number : 0;
  }
  if (left == 0 || --until > 0)
    return 0;
  until = 1;
  --left;
  ++failures;
  return error_number;
}

std::atomic<long> unfreed;
int memory_kinds, memory_until, memory_left, memory_failures;

bool memory_fails(int kind) noexcept {
  if (memory_hook != nullptr && memory_hook(kind))
    return true;
  if ((memory_kinds & kind) == 0 || memory_left == 0 || --memory_until > 0)
    return false;
  memory_until = 1;
  --memory_left;
  ++memory_failures;
  return true;
}

// Counts what is not freed.
void *count(void *memory) noexcept {
  unfreed += memory != nullptr ? 1 : 0;
  return memory;
}

} // namespace

bool (*memory_hook)(int) noexcept = nullptr;

void fail_call(const char *name, int nth, int error, int times) {
  wanted = name;
  until = nth;
  left = times;
  failures = 0;
  error_number = error;
  alternating = false;
  gipc::sys::fault = on_call;
}

void fail_every_other(const char *names, int error) {
  fail_call(names, 1, error);
  alternating = true;
  odd = false;
}

int calls_failed() { return failures; }

int stop_calls() {
  gipc::sys::fault = nullptr;
  return failures;
}

bool can_fail(int kind) {
  void *volatile memory = nullptr;
  fail_memory(kind, 1);
  try {
    memory = kind == by_new ? ::operator new(1) : std::malloc(1);
  } catch (const std::bad_alloc &) {
  }
  bool failed = stop_memory() > 0;
  if (kind == by_new)
    ::operator delete(memory);
  else
    std::free(memory);
  return failed;
}

void fail_memory(int kinds, int nth, int times) {
  memory_until = nth;
  memory_left = times;
  memory_failures = 0;
  memory_kinds = kinds;
}

int stop_memory() {
  memory_kinds = 0;
  return memory_failures;
}

long allocations() { return unfreed; }

} // namespace fault

// ---- The hooks --------------------------------------------------------------

#if OWN_MALLOC
extern "C" {
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

void *malloc(size_t size) {
  if (fault::memory_fails(fault::by_malloc)) {
    errno = ENOMEM;
    return nullptr;
  }
  return fault::count(__libc_malloc(size));
}
void *calloc(size_t count, size_t size) {
  if (fault::memory_fails(fault::by_malloc)) {
    errno = ENOMEM;
    return nullptr;
  }
  return fault::count(__libc_calloc(count, size));
}
void *realloc(void *memory, size_t size) {
  if (size > 0 && fault::memory_fails(fault::by_malloc)) {
    errno = ENOMEM;
    return nullptr;
  }
  fault::unfreed += memory == nullptr ? 1 : size == 0 ? -1 : 0;
  return __libc_realloc(memory, size);
}
void free(void *memory) {
  fault::unfreed -= memory != nullptr ? 1 : 0;
  __libc_free(memory);
}
}
#define HOOKED_MALLOC(size) fault::count(__libc_malloc(size))
#define HOOKED_FREE free
#else
#define HOOKED_MALLOC std::malloc
#define HOOKED_FREE std::free
#endif

void *operator new(size_t size) {
  if (!fault::memory_fails(fault::by_new))
    if (void *memory = HOOKED_MALLOC(size > 0 ? size : 1))
      return memory;
  errno = ENOMEM; // as malloc does
  throw std::bad_alloc();
}
// A sanitizer's own does not call the one above.
void *operator new(size_t size, const std::nothrow_t &) noexcept {
  void *memory = fault::memory_fails(fault::by_new)
                     ? nullptr
                     : HOOKED_MALLOC(size > 0 ? size : 1);
  if (memory == nullptr)
    errno = ENOMEM;
  return memory;
}
void operator delete(void *memory) noexcept { HOOKED_FREE(memory); }
void operator delete(void *memory, size_t) noexcept { HOOKED_FREE(memory); }
