/* What differs between machines where a system call is made, or is looked at by
 * a filter of seccomp(2), without libc. */
#ifndef GIPC_TESTS_SUPPORT_CALLS_H
#define GIPC_TESTS_SUPPORT_CALLS_H

#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* The argument of clone(2) that has the flags: the first, or behind the stack.
 */
#ifdef __s390__
enum { clone_flags = 1 };
#else
enum { clone_flags = 0 };
#endif

/* Where a filter finds the lower half of an argument, which has 64 bits on each
 * machine: a filter loads 32. */
static inline uint32_t lower_half(int argument) {
  const uint16_t one = 1;
  const uint32_t first = *(const unsigned char *)&one == 1 ? 0 : 4;
  return (uint32_t)offsetof(struct seccomp_data, args) +
         8 * (uint32_t)argument + first;
}

#endif
