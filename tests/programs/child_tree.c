/* Leaves a process that was forked twice, leads a session and ignores SIGTERM;
 * both write a byte to stdout.  Then exits with argv[1], or waits if there is
 * none. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      signal(SIGTERM, SIG_IGN);
      if (write(1, "x", 1) == 1)
        for (;;)
          pause();
    }
    _exit(0);
  }
  if (write(1, "x", 1) != 1)
    return 1;
  if (argc > 1)
    return atoi(argv[1]);
  for (;;)
    pause();
}
