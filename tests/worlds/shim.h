/* The parts of the shim, which LD_PRELOAD puts into each program of a world. */
#ifndef GIPC_TESTS_SHIM_H
#define GIPC_TESTS_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* What this process does to itself: the value of GIPC_WORLD. */
enum world {
  world_other,  /* nothing of the shim */
  world_reaper, /* a thread reaps every child */
  world_storm,  /* a timer interrupts every call that waits */
  world_narrow, /* pipes of 4 KiB, the smallest buffers of sockets */
  world_bytes,  /* a transfer moves one byte */
  world_pieces, /* a transfer moves any number of bytes */
  world_hammer  /* threads that use malloc and locks all the time */
};
extern enum world world;

/* How often this world has acted, which is reported at the end. */
extern atomic_ulong acted;

/* Whether the code at this address is of libgipc.so.  What a test itself calls
 * is left as it is. */
bool of_library(const void *address);
#define FROM_LIBRARY of_library(__builtin_return_address(0))

/* The function of this name that the shim stands before. */
void *next_function(const char *name);
#define NEXT(name) (__extension__(__typeof__(&name)) next_function(#name))

/* A status that the thread of this world took from the caller: true, or false
 * if it took none of this child. */
bool stolen_status(int pid, int *status);

void start_reaper(void);
void start_storm(void);
void start_hammers(void);
/* That buffers are as small as this world says. */
void show_narrow(void);

#endif
