/* Counting as wc(1) does in the C locale, in chunks that are independent. */
#include "count.h"

/* Not isspace(): the locale of this program does not matter. */
static int is_space(int byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int is_print(int byte) { return byte > ' ' && byte < 0x7f; }

void rule_init(rule *r, int unprintable_is_word) {
  int byte;

  for (byte = 0; byte < 256; byte++) {
    if (is_space(byte))
      r->kind[byte] = SPACE;
    else
      r->kind[byte] = is_print(byte) || unprintable_is_word ? WORD : NEITHER;
  }
}

void tally_count(tally *t, const rule *r, const void *data, size_t size) {
  const unsigned char *byte = data, *end = byte + size;
  uint64_t lines = 0, words = 0;
  unsigned kind, last = NEITHER;

  while (byte < end && r->kind[*byte] == NEITHER)
    byte++;
  t->first = byte < end ? r->kind[*byte] : NEITHER;
  for (; byte < end; byte++) {
    if ((kind = r->kind[*byte]) == NEITHER)
      continue;
    lines += *byte == '\n';
    words += (kind == WORD) & (last != WORD);
    last = kind;
  }
  t->bytes = size;
  t->lines = lines;
  t->words = words;
  t->last = last;
}

void tally_append(tally *sum, const tally *next) {
  uint64_t cut = sum->last == WORD && next->first == WORD;

  tally_add(sum, next);
  sum->words -= cut;
  if (sum->first == NEITHER)
    sum->first = next->first;
  if (next->last != NEITHER)
    sum->last = next->last;
}

void tally_add(tally *sum, const tally *other) {
  sum->bytes += other->bytes;
  sum->lines += other->lines;
  sum->words += other->words;
}
