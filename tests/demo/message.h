/* What the demo and its workers say to each other, in MessagePack:
 *
 *   a task is a chunk    bin
 *   its result           {"language": "Ruby 3.1.2", "bytes": 9, "lines": 1,
 *                         "words": 2, "first": "space", "last": "word"},
 *                        see tally
 *
 * UNPRINTABLE_IS_WORD in the environment of a worker: see rule_init().  This is
 * the side of C; the other workers have it from their languages. */
#ifndef DEMO_MESSAGE_H
#define DEMO_MESSAGE_H

#include <msgpack.h>

#include "count.h"

enum { LANGUAGE_SIZE = 32 };

void message_of_chunk(msgpack_sbuffer *to, const void *data, size_t size);
void message_of_tally(msgpack_sbuffer *to, const tally *t,
                      const char *language);

/* These return 0, or -1 when the message is something else. */
/* *data points into the message. */
int message_to_chunk(const void *message, size_t size, const void **data,
                     size_t *data_size);
int message_to_tally(const void *message, size_t size, tally *t,
                     char language[LANGUAGE_SIZE]);

#endif
