/* The messages between a pool and its workers: their bytes, every length that
 * is too short, and what cannot be encoded. */
#include "support.h"

#define TEXT(literal)                                                          \
  { literal, sizeof literal - 1 }

static gipc_worker_message message(int kind) {
  gipc_worker_message out = {.size = sizeof out,
                             .kind = kind,
                             .attempt = 0x01020304,
                             .task = 0x1122334455667788,
                             .data = "data",
                             .data_size = 4,
                             .type = TEXT("ty"),
                             .text = TEXT(""),
                             .trace = TEXT("tra\nce")};
  return out;
}

static const struct {
  int kind;
  const char *bytes;
  size_t size;
  size_t fixed; /* what must be there */
} table[] = {
    {'T', "T\x11\x22\x33\x44\x55\x66\x77\x88\1\2\3\4data", 17, 13},
    {'R', "R\1", 2, 2},
    {'A', "A", 1, 1},
    {'D',
     "D\x11\x22\x33\x44\x55\x66\x77\x88"
     "data",
     13, 9},
    {'F',
     "F\x11\x22\x33\x44\x55\x66\x77\x88\0\0\0\2ty\0\0\0\0\0\0\0\6tra\nce"
     "data",
     33, 29},
};
enum { KINDS = sizeof table / sizeof *table };

static void each_kind_has_its_bytes(void **state) {
  for (size_t i = 0; i < KINDS; i++) {
    gipc_worker_message in = message(table[i].kind);
    char bytes[64];
    size_t needed = 0;
    for (size_t room = 0; room < table[i].size; room++) {
      memset(bytes, 'x', sizeof bytes);
      RESULT(gipc_worker_encode(&in, bytes, room, &needed), -EMSGSIZE);
      assert_int_equal(needed, table[i].size);
      for (size_t at = 0; at < sizeof bytes; at++)
        assert_int_equal(bytes[at], 'x');
    }
    OK(gipc_worker_encode(&in, bytes, needed, &needed));
    assert_memory_equal(bytes, table[i].bytes, needed);
    assert_int_equal(bytes[needed], 'x');
    RESULT(gipc_worker_encode(&in, NULL, 0, &needed), -EMSGSIZE);
  }
}

static bool same(gipc_text a, const char *text) {
  return a.size == strlen(text) &&
         (a.size == 0 || !memcmp(a.data, text, a.size));
}

static void each_kind_is_read_again(void **state) {
  for (size_t i = 0; i < KINDS; i++) {
    gipc_worker_message out = {.size = sizeof out};
    bool answers = strchr("TDF", table[i].kind) != NULL;
    bool failed = table[i].kind == 'F';
    OK(gipc_worker_decode(table[i].bytes, table[i].size, &out));
    assert_int_equal(out.kind, table[i].kind);
    assert_true(out.task == (answers ? 0x1122334455667788 : 0));
    assert_int_equal(out.attempt, table[i].kind == 'T' ? 0x01020304 : 0);
    assert_int_equal(out.data_size, answers ? 4 : 0);
    if (answers)
      assert_memory_equal(out.data, "data", 4);
    assert_true(same(out.type, failed ? "ty" : "") && same(out.text, "") &&
                same(out.trace, failed ? "tra\nce" : ""));
  }
}

/* A copy of exactly this size: valgrind and ASan see each byte beyond it. */
static int decode(const char *bytes, size_t size, gipc_worker_message *out) {
  char *copy = malloc(size + 1);
  memcpy(copy + 1, bytes, size);
  int result = gipc_worker_decode(copy + 1, size, out);
  free(copy);
  return result;
}

static void a_message_cut_anywhere_is_malformed(void **state) {
  for (size_t i = 0; i < KINDS; i++)
    for (size_t size = 0; size < table[i].size; size++) {
      gipc_worker_message out, before;
      memset(&out, 0xEE, sizeof out);
      out.size = sizeof out;
      before = out;
      RESULT(decode(table[i].bytes, size, &out),
             size < table[i].fixed ? GIPC_EPROTOCOL : 0);
      if (size < table[i].fixed)
        assert_memory_equal(&out, &before, sizeof out);
    }
}

static void what_follows_a_message_without_data_is_malformed(void **state) {
  gipc_worker_message out = {.size = sizeof out};
  RESULT(decode("R\1\1", 3, &out), GIPC_EPROTOCOL);
  RESULT(decode("AA", 2, &out), GIPC_EPROTOCOL);
}

static void every_other_first_byte_and_version_is_malformed(void **state) {
  gipc_worker_message out = {.size = sizeof out};
  for (int byte = 0; byte < 256; byte++) {
    char bytes[40] = {(char)byte};
    if (byte != 0 && strchr("TRADF", byte) != NULL)
      continue;
    RESULT(decode(bytes, sizeof bytes, &out), GIPC_EPROTOCOL);
  }
  for (int version = 0; version < 256; version++) {
    char bytes[] = {'R', (char)version};
    RESULT(decode(bytes, 2, &out), version == 1 ? 0 : GIPC_EPROTOCOL);
  }
}

static void a_text_longer_than_the_message_is_malformed(void **state) {
  const size_t lengths[] = {9, 15, 19}; /* where each of the three sizes is */
  gipc_worker_message out = {.size = sizeof out};
  for (size_t i = 0; i < 3; i++) {
    char bytes[33];
    memcpy(bytes, table[KINDS - 1].bytes, sizeof bytes);
    memcpy(bytes + lengths[i], "\377\377\377\377", 4);
    RESULT(decode(bytes, sizeof bytes, &out), GIPC_EPROTOCOL);
    memcpy(bytes + lengths[i], "\177\377\377\377", 4);
    RESULT(decode(bytes, sizeof bytes, &out), GIPC_EPROTOCOL);
  }
}

static void what_cannot_be_encoded_is_refused(void **state) {
  gipc_worker_message in = message('D');
  size_t needed = 77;
  char bytes[64];
  RESULT(gipc_worker_encode(NULL, bytes, 64, &needed), -EINVAL);
  RESULT(gipc_worker_encode(&in, NULL, 64, &needed), -EINVAL);
  RESULT(gipc_worker_encode(&in, bytes, 64, NULL), -EINVAL);
  in.kind = 'X';
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -EINVAL);
  in = message('D');
  in.data_size = SIZE_MAX;
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -EINVAL);
  in = message('D');
  in.data = NULL;
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -EINVAL);
  in = message('F');
  in.trace.data = NULL;
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -EINVAL);
  in = message('F');
#if SIZE_MAX > UINT32_MAX
  in.text.size = (size_t)UINT32_MAX + 1;
  in.text.data = "";
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -EINVAL);
#endif
  in.size = sizeof in.size;
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -EINVAL);
  in.size = 4097;
  RESULT(gipc_worker_encode(&in, bytes, 64, &needed), -E2BIG);
  assert_int_equal(needed, 77);
  gipc_worker_message out = {.size = sizeof out};
  RESULT(gipc_worker_decode(NULL, 1, &out), -EINVAL);
  RESULT(gipc_worker_decode("A", 1, NULL), -EINVAL);
  RESULT(gipc_worker_decode(NULL, 0, &out), GIPC_EPROTOCOL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(each_kind_has_its_bytes),
      TEST(each_kind_is_read_again),
      TEST(a_message_cut_anywhere_is_malformed),
      TEST(what_follows_a_message_without_data_is_malformed),
      TEST(every_other_first_byte_and_version_is_malformed),
      TEST(a_text_longer_than_the_message_is_malformed),
      TEST(what_cannot_be_encoded_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
