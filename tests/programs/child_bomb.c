/* argv[1] processes, each of which forks another one in its place, in a session
 * of its own, again and again.  They ignore SIGTERM, and hold stdout open.  The
 * first process writes 'x' to it, and waits.
 *
 * All of them fork argv[2] times at most, and then wait, so that there is an
 * end where nobody else can end them. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
  if (argc != 3)
    return 1;
  atomic_int *left = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (left == MAP_FAILED)
    return 1;
  atomic_init(left, atoi(argv[2]));
  for (int i = atoi(argv[1]); i > 0; i--)
    if (fork() == 0) {
      signal(SIGTERM, SIG_IGN);
      for (;;) {
        if (atomic_fetch_sub(left, 1) <= 0) {
          alarm(300);
          pause();
          _exit(0);
        }
        setsid();
        if (fork() != 0)
          _exit(0);
      }
    }
  if (write(1, "x", 1) != 1)
    return 1;
  for (;;)
    pause();
}
