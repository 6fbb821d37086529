/* One end of a stream, for wire.py at the other one, which may be of a machine
 * with another order of bytes.
 *   frames write   puts each kind of message on stdin, or on the handle "h"
 *   frames read    gets messages from there, and says what came, a line each;
 *                  uses the handles that come */
#include <gipc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGE = 70000, MANY = 2000 };

static void check(int result, const char *what) {
  if (result >= 0)
    return;
  fprintf(stderr, "%s: %s\n", what, gipc_strerror(result));
  exit(1);
}

static void put(gipc_handle *h, const void *data, size_t size) {
  check(gipc_put(h, data, size, -1), "gipc_put");
}

static const char *transport(uint64_t which) {
  return which == GIPC_TRANSPORT_RING ? "ring" : "plain";
}

/* Puts a handle of this kind, and says on its other end what it is. */
static void put_handle(gipc_handle *h, const char *kind) {
  gipc_handle *mine, *theirs;
  if (strcmp(kind, "reader") == 0)
    check(gipc_pipe(&theirs, &mine), "gipc_pipe");
  else if (strcmp(kind, "writer") == 0)
    check(gipc_pipe(&mine, &theirs), "gipc_pipe");
  else
    check(gipc_pipe_duplex(&mine, &theirs), "gipc_pipe_duplex");
  check(gipc_put_handles(h, kind, strlen(kind), &theirs, 1, NULL, 0, -1),
        "gipc_put_handles");
  if (strcmp(kind, "writer") != 0)
    put(mine, "through it", 10);
  if (strcmp(kind, "reader") != 0) {
    const void *data;
    size_t size;
    check(gipc_get(mine, -1, &data, &size), "gipc_get");
    if (size != 4 || memcmp(data, "back", 4) != 0)
      check(GIPC_EPROTOCOL, "what came back through the handle");
  }
  gipc_handle_free(theirs);
  gipc_handle_free(mine);
}

static int write_all_kinds(gipc_handle *h) {
  static char large[LARGE];
  int fds[2];
  for (int i = 0; i < LARGE; i++)
    large[i] = (char)(i % 251);
  put(h, "hello", 5);
  put(h, "", 0);
  put(h, large, LARGE);
  if (pipe(fds) != 0 || write(fds[1], "in the pipe", 11) != 11)
    check(-1, "pipe");
  check(gipc_put_with(h, "two", 3, fds, 2, -1), "gipc_put_with");
  put_handle(h, "reader");
  put_handle(h, "writer");
  put_handle(h, "duplex");
  for (uint32_t i = 0; i < MANY; i++) {
    const void *data;
    size_t size;
    put(h, &i, sizeof i);
    check(gipc_get(h, -1, &data, &size), "gipc_get");
    if (size != sizeof i || memcmp(data, &i, sizeof i) != 0)
      check(GIPC_EPROTOCOL, "an echo");
  }
  gipc_stats stats = {.size = sizeof stats};
  check(gipc_handle_stats(h, &stats), "gipc_handle_stats");
  printf("%s out, %s in\n", transport(stats.transport_out),
         transport(stats.transport_in));
  return 0;
}

static void use(gipc_handle *moved) {
  const void *data;
  size_t size;
  if (gipc_fd(moved, GIPC_WRITE) >= 0)
    put(moved, "back", 4);
  if (gipc_fd(moved, GIPC_READ) >= 0) {
    check(gipc_get(moved, -1, &data, &size), "gipc_get");
    printf(" reads %.*s", (int)size, (const char *)data);
  }
  gipc_handle_free(moved);
}

static int read_all_kinds(gipc_handle *h) {
  const void *data;
  size_t size;
  int result, fds[GIPC_MOST_FDS];
  while ((result = gipc_get(h, -1, &data, &size)) == 0) {
    unsigned long sum = 0;
    for (size_t i = 0; i < size; i++)
      sum = sum * 31 % 1000003 + ((const unsigned char *)data)[i];
    printf("%zu bytes, sum %lu", size, sum);
    gipc_handle *moved;
    while ((result = gipc_take_handle(h, &moved)) == 0) {
      printf(", a handle");
      use(moved);
    }
    if (result != -ENOENT)
      check(result, "gipc_take_handle");
    int count = gipc_take_fds(h, fds, GIPC_MOST_FDS);
    check(count, "gipc_take_fds");
    for (int i = 0; i < count; i++) {
      char text[64];
      ssize_t got = read(fds[i], text, sizeof text);
      printf(", a file with %.*s", (int)(got > 0 ? got : 0), text);
      close(fds[i]);
    }
    puts("");
    fflush(stdout);
  }
  printf("%s\n", result == GIPC_EOF          ? "GIPC_EOF"
                 : result == GIPC_ETRUNCATED ? "GIPC_ETRUNCATED"
                 : result == GIPC_ETOOBIG    ? "GIPC_ETOOBIG"
                 : result == GIPC_EPROTOCOL  ? "GIPC_EPROTOCOL"
                                             : gipc_strerror(result));
  return 0;
}

int main(int argc, char **argv) {
  gipc_handle *h;
  if (argc != 2)
    return 2;
  if (getenv("GIPC_HANDLES") != NULL) {
    check(gipc_inherit("h", &h), "gipc_inherit");
    put(h, "ready", 5); /* from now on the peer may send descriptors */
  } else {
    check(gipc_open(0, 0, &h), "gipc_open");
  }
  int status =
      strcmp(argv[1], "write") == 0 ? write_all_kinds(h) : read_all_kinds(h);
  gipc_handle_free(h);
  return status;
}
