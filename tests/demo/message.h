/* What the demo and its workers say to each other, in MessagePack:
 *
 *   a worker begins with    {"language": "Ruby 3.1.2"}
 *   the demo answers with   {"unprintable is word": true}, see rule_init(),
 *   and then with chunks    bin
 *   each is answered with   {"bytes": 9, "lines": 1, "words": 2,
 *                            "first": "space", "last": "word"}, see tally
 *
 * This is the side of C; the other workers have it from their languages. */
#ifndef DEMO_MESSAGE_H
#define DEMO_MESSAGE_H

#include <msgpack.h>

#include "count.h"

void message_of_rule(msgpack_sbuffer *to, int unprintable_is_word);
void message_of_chunk(msgpack_sbuffer *to, const void *data, size_t size);
void message_of_greeting(msgpack_sbuffer *to, const char *language);
void message_of_tally(msgpack_sbuffer *to, const tally *t);

/* These return 0, or -1 when the message is something else. */
int message_to_rule(const void *message, size_t size, rule *r);
/* *data points into the message. */
int message_to_chunk(const void *message, size_t size, const void **data,
                     size_t *data_size);
int message_to_greeting(const void *message, size_t size, char language[32]);
int message_to_tally(const void *message, size_t size, tally *t);

#endif
