/* What the demo and its workers say to each other, in MessagePack. */
#include <stdio.h>
#include <string.h>

#include "message.h"

static const char *const kind_names[] = {
    [NEITHER] = "neither", [SPACE] = "space", [WORD] = "word"};

/* ---- To MessagePack ------------------------------------------------------ */
/* An sbuffer that cannot grow stays as it is; then the peer reports an error.
 */

static msgpack_packer begin(msgpack_sbuffer *to) {
  msgpack_packer p;

  msgpack_sbuffer_clear(to);
  msgpack_packer_init(&p, to, msgpack_sbuffer_write);
  return p;
}

static void pack_text(msgpack_packer *p, const char *text) {
  msgpack_pack_str_with_body(p, text, strlen(text));
}

static void pack_number(msgpack_packer *p, const char *key, uint64_t number) {
  pack_text(p, key);
  msgpack_pack_uint64(p, number);
}

void message_of_chunk(msgpack_sbuffer *to, const void *data, size_t size) {
  msgpack_packer p = begin(to);

  msgpack_pack_bin_with_body(&p, data, size);
}

void message_of_tally(msgpack_sbuffer *to, const tally *t,
                      const char *language) {
  msgpack_packer p = begin(to);

  msgpack_pack_map(&p, 6);
  pack_text(&p, "language");
  pack_text(&p, language);
  pack_number(&p, "bytes", t->bytes);
  pack_number(&p, "lines", t->lines);
  pack_number(&p, "words", t->words);
  pack_text(&p, "first");
  pack_text(&p, kind_names[t->first]);
  pack_text(&p, "last");
  pack_text(&p, kind_names[t->last]);
}

/* ---- From MessagePack ---------------------------------------------------- */

/* The whole message as an object; free it with msgpack_unpacked_destroy(). */
static int unpack(msgpack_unpacked *u, const void *message, size_t size) {
  size_t end = 0;

  msgpack_unpacked_init(u);
  return msgpack_unpack_next(u, message, size, &end) ==
                     MSGPACK_UNPACK_SUCCESS &&
                 end == size
             ? 0
             : -1;
}

static int is_text(const msgpack_object *o, const char *text) {
  return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
         memcmp(o->via.str.ptr, text, o->via.str.size) == 0;
}

/* The value of a key, if the message is a map that has it. */
static const msgpack_object *find(const msgpack_unpacked *u, const char *key) {
  const msgpack_object_map *map = &u->data.via.map;
  uint32_t i;

  for (i = 0; u->data.type == MSGPACK_OBJECT_MAP && i < map->size; i++)
    if (is_text(&map->ptr[i].key, key))
      return &map->ptr[i].val;
  return NULL;
}

static int find_number(const msgpack_unpacked *u, const char *key,
                       uint64_t *number) {
  const msgpack_object *o = find(u, key);

  if (o == NULL || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
    return -1;
  *number = o->via.u64;
  return 0;
}

static int find_language(const msgpack_unpacked *u,
                         char language[LANGUAGE_SIZE]) {
  const msgpack_object *o = find(u, "language");

  if (o == NULL || o->type != MSGPACK_OBJECT_STR ||
      o->via.str.size >= LANGUAGE_SIZE)
    return -1;
  snprintf(language, LANGUAGE_SIZE, "%.*s", (int)o->via.str.size,
           o->via.str.ptr);
  return 0;
}

static int find_kind(const msgpack_unpacked *u, const char *key,
                     uint32_t *kind) {
  const msgpack_object *o = find(u, key);

  for (*kind = NEITHER; o != NULL && *kind <= WORD; ++*kind)
    if (is_text(o, kind_names[*kind]))
      return 0;
  return -1;
}

int message_to_chunk(const void *message, size_t size, const void **data,
                     size_t *data_size) {
  msgpack_unpacked u;
  int result = unpack(&u, message, size);

  if (result == 0 && u.data.type == MSGPACK_OBJECT_BIN) {
    *data = u.data.via.bin.ptr;
    *data_size = u.data.via.bin.size;
  } else {
    result = -1;
  }
  msgpack_unpacked_destroy(&u);
  return result;
}

int message_to_tally(const void *message, size_t size, tally *t,
                     char language[LANGUAGE_SIZE]) {
  msgpack_unpacked u;
  int result = unpack(&u, message, size);

  if (result == 0 && (find_language(&u, language) < 0 ||
                      find_number(&u, "bytes", &t->bytes) < 0 ||
                      find_number(&u, "lines", &t->lines) < 0 ||
                      find_number(&u, "words", &t->words) < 0 ||
                      find_kind(&u, "first", &t->first) < 0 ||
                      find_kind(&u, "last", &t->last) < 0))
    result = -1;
  msgpack_unpacked_destroy(&u);
  return result;
}
