/* Serves as a template.  The argument of a child is what it is to do: "code N",
 * "put" into the handle "w", "thread" in the template itself. */
#include "gipc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int at_start;

static void *sleep_on(void *argument) {
  pause();
  return NULL;
}

int main(int argc, char **argv) {
  const void *argument;
  size_t size;
  pthread_t thread;
  gipc_handle *w;
  clockid_t clock; /* made of the thread's number, as the C library has it */
  at_start = argc > 1 ? atoi(argv[1]) : 0;
  if (at_start == 99 && pthread_create(&thread, NULL, sleep_on, NULL) != 0)
    return 3;
  int error = gipc_template_serve(&argument, &size);
  if (error != 0) {
    fprintf(stderr, "%s\n", gipc_strerror(error));
    return 2;
  }
  if (pthread_getcpuclockid(pthread_self(), &clock) != 0 ||
      ~(clock >> 3) != getpid())
    gipc_exit(6);
  if (size == 3 && memcmp(argument, "put", 3) == 0) {
    if (gipc_inherit("w", &w) != 0 || gipc_put(w, "from", 4, -1) != 0)
      gipc_exit(4);
    exit(5);
  }
  gipc_exit(size == 0 && argument == NULL ? at_start : *(const char *)argument);
}
