// How a child learns of its own end: by exit(3), and by that of a thread.
#include "os_common.h"

#include <csetjmp>
#include <cstdlib>
#include <pthread.h>

#ifdef __GLIBC__
// What pthread_cleanup_push(3) is in C.  In C++ it is a destructor.  The
// attribute says that on 32-bit x86 the argument is in a register.
using OfPlace __cleanup_fct_attribute = void(__pthread_unwind_buf_t *) noexcept;
extern "C" OfPlace __pthread_register_cancel, __pthread_unregister_cancel;
#endif

namespace gipc::os {

void on_exit(void (*handler)(int, void *)) noexcept {
#ifdef __GLIBC__
  (void)::on_exit(handler, nullptr); // fails for want of memory only
#else
  (void)handler; // atexit(3) does not tell the status
#endif
}

#ifdef __GLIBC__
namespace {
// Also where an exception leaves the function.
struct Registered {
  explicit Registered(__pthread_unwind_buf_t *to) noexcept : buffer(to) {
    __pthread_register_cancel(buffer);
  }
  ~Registered() { __pthread_unregister_cancel(buffer); }
  __pthread_unwind_buf_t *buffer;
};
} // namespace
#endif

// With glibc the end of a thread unwinds its stack up to the first function
// without tables for that, which C has none of on 32-bit ARM.  It then goes on
// at the place that is registered here, and without one the main thread would
// call exit(0).
int call(int (*function)(void *), void *user, void (*ended)(void *)) {
#ifdef __GLIBC__
  __pthread_unwind_buf_t buffer;
  if (__sigsetjmp(reinterpret_cast<__jmp_buf_tag *>(buffer.__cancel_jmp_buf),
                  0) != 0)
    ended(nullptr);
  Registered registered(&buffer);
  return function(user);
#else
  int result;
  pthread_cleanup_push(ended, nullptr);
  result = function(user);
  pthread_cleanup_pop(0);
  return result;
#endif
}

} // namespace gipc::os
