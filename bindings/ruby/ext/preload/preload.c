/* gipc/preload: lets the interpreter of a template fork children of another
 * parent.
 *
 * What a fork is to Ruby, its threads, timer, random numbers and cached process
 * ID, is done inside Process._fork, around the fork(2) of the C library.  A
 * template is started with this file in LD_PRELOAD, so that gipc/native can put
 * another function there (ext/gipc/template.i).  Until then a fork is the one
 * of the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED pid_t (*gipc_fork_of_interpreter)(void);
EXPORTED pid_t fork(void);

pid_t fork(void) {
  union {
    void *symbol;
    pid_t (*function)(void);
  } next;
  if (gipc_fork_of_interpreter)
    return gipc_fork_of_interpreter();
  next.symbol = dlsym(RTLD_NEXT, "fork");
  if (next.symbol)
    return next.function();
  errno = ENOSYS;
  return -1;
}
