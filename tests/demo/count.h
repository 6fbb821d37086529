/* Counting as wc(1) does in the C locale, in chunks that are independent. */
#ifndef DEMO_COUNT_H
#define DEMO_COUNT_H

#include <stddef.h>
#include <stdint.h>

/* What a byte is to the counting of words. */
enum { NEITHER, SPACE, WORD };

/* Which bytes are what; see rule_init(). */
typedef struct rule {
  unsigned char kind[256];
} rule;

/* What was counted in a chunk.  The words are those that begin in it, as if
 * a space came before; first and last are the kinds of the outermost bytes
 * that are not NEITHER, so that tally_append() detects where a word was cut in
 * two.  Chunks can therefore be counted anywhere and in any order. */
typedef struct tally {
  uint64_t bytes;
  uint64_t lines;
  uint64_t words;
  uint32_t first;
  uint32_t last;
} tally;

/* Implementations of wc disagree on bytes that are neither space nor print:
 * either each belongs to a word (POSIX), or they count for nothing. */
void rule_init(rule *r, int unprintable_is_word);

/* Counts one chunk. */
void tally_count(tally *t, const rule *r, const void *data, size_t size);

/* Adds the chunk that follows all that sum holds. */
void tally_append(tally *sum, const tally *next);

/* Adds another file. */
void tally_add(tally *sum, const tally *other);

#endif
