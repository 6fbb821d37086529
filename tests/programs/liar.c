/* A peer that does not keep to the rules: liar KIND SEED, with the handle
 * "peer". garbage: bytes that are no frames; lengths: of more than it sends;
 * stops: it reads and writes nothing; half: it shuts down a direction; ring: it
 * answers until the message "lie", then changes the memory of its rings.  Lives
 * until it is killed. */
#include <gipc.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t seed;

static uint64_t draw(void) { /* xorshift64* */
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return seed * 0x2545F4914F6CDD1D >> 16;
}

static void send_all(int fd, const char *bytes, size_t size) {
  (void)!send(fd, bytes, size, MSG_NOSIGNAL);
}

static void send_garbage(int fd) {
  char bytes[2000];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)draw();
  send_all(fd, bytes, draw() % sizeof bytes);
}

/* Up to 1 GiB; or any number of 64 bits. */
static void send_lengths(int fd) {
  unsigned char bytes[500] = {0};
  uint64_t random = draw();
  size_t header = draw() % 2 == 0 ? 4 : 12;
  if (header == 12)
    memset(bytes, 0xff, 4);
  else
    random &= (1 << 30) - 1;
  for (size_t i = 1; i <= (header == 4 ? 4 : 8); i++, random >>= 8)
    bytes[header - i] = (unsigned char)random;
  send_all(fd, (char *)bytes, sizeof bytes);
}

static void scribble(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512];
  uint32_t *rings[8];
  unsigned long from, to;
  size_t count = 0;
  while (count < 8 && fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, "memfd:gipc ring") != NULL &&
        sscanf(line, "%lx-%lx rw", &from, &to) == 2)
      rings[count++] = (uint32_t *)from; /* NOLINT */
  fclose(maps);
  while (count > 0) { /* until it is killed */
    uint64_t random = draw();
    volatile uint32_t *word = rings[random % count] + (random >> 8 & 7) * 16;
    *word = random % 3 == 0 ? (uint32_t)(random >> 16)
                            : *word + (random >> 40 & 31);
  }
}

static void answer_then_scribble(gipc_handle *h) {
  const void *data;
  size_t size;
  while (gipc_get(h, -1, &data, &size) == 0 &&
         !(size == 3 && memcmp(data, "lie", 3) == 0))
    (void)!gipc_put(h, data, size, -1);
  scribble();
}

int main(int argc, char **argv) {
  gipc_handle *h;
  if (argc != 3 || gipc_inherit("peer", &h) != 0)
    return 2;
  seed = strtoull(argv[2], NULL, 10) * 77 + 1;
  int fd = gipc_fd(h, GIPC_READ);
  if (strcmp(argv[1], "garbage") == 0)
    send_garbage(fd);
  else if (strcmp(argv[1], "lengths") == 0)
    send_lengths(fd);
  else if (strcmp(argv[1], "half") == 0)
    shutdown(fd, draw() % 2 == 0 ? SHUT_RD : SHUT_WR);
  else if (strcmp(argv[1], "ring") == 0)
    answer_then_scribble(h);
  for (;;)
    pause();
}
