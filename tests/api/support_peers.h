/* Two sides of a pipe that each put some messages and then get the other's. */
#ifndef GIPC_TESTS_SUPPORT_PEERS_H
#define GIPC_TESTS_SUPPORT_PEERS_H

#include "support.h"

enum { most_messages = 8 };

/* Puts the messages of one side, then gets those of the other. */
struct side {
  gipc_handle *h;
  size_t count, sizes[most_messages];
  uint64_t seed;
  double timeout;
  const struct side *other;
  int result; /* of the first call that failed */
};

/* Up to most_messages, of sizes at random. */
void draw(struct side *s, uint64_t *seed, size_t largest);
/* Both return the first failure. */
int put_all(struct side *s);
int get_all(struct side *s);
/* Bytes received by h and not yet returned. */
size_t held(const gipc_handle *h);

/* A duplex pipe, adopted sockets, two pipes. */
enum { way_count = 3 };
extern void (*const ways[way_count])(gipc_handle **, gipc_handle **);

/* Runs body for both sides, b's in a thread. */
void run(struct side *a, struct side *b, void *(*body)(void *));
void free_both(struct side *a, struct side *b);

#endif
