/* What the parts of the soak in C share. */
#ifndef GIPC_TESTS_SOAK_H
#define GIPC_TESTS_SOAK_H

#include <gipc.h>

#include <stdint.h>

/* The kinds of pipes. */
enum { AUTO, RING, PLAIN, PIPES, KINDS };
enum { LARGEST = 1 << 20 };

/* Ends the program with a message. */
void fail(const char *what, int result);
#define OK(call)                                                               \
  do {                                                                         \
    int ok_result = (call);                                                    \
    if (ok_result != 0)                                                        \
      fail(#call, ok_result);                                                  \
  } while (0)
#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition))                                                          \
      fail(#condition, 0);                                                     \
  } while (0)

/* A number below limit, from the seed. */
uint64_t draw(uint64_t limit);
/* The messages are its first bytes. */
extern char block[LARGEST];
/* Most messages are small, some have up to 1 MiB. */
size_t draw_size(void);
void pair_of(int kind, gipc_handle **a, gipc_handle **b);
/* Gets a message, which must be the first size bytes of the block. */
void expect(gipc_handle *h, size_t size);

/* Answers each message until the end of the stream, or until one that says
 * "close", and frees the handle. */
void echo(gipc_handle *h);

void run_children(size_t count);

#endif
