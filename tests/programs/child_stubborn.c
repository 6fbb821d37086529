/* Ignores and blocks what can be, writes one byte to stdout, and stays for a
 * minute: asleep, or busy when it has an argument. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <unistd.h>

int main(int argc, char **argv) {
  volatile int spin = 0;
  sigset_t all;
  (void)argv;
  signal(SIGTERM, SIG_IGN);
  sigfillset(&all);
  sigdelset(&all, SIGALRM);
  sigprocmask(SIG_SETMASK, &all, NULL);
  alarm(300);
  if (write(1, "x", 1) != 1)
    return 1;
  while (argc > 1)
    (void)spin;
  pause();
  return 0;
}
