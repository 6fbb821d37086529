/* Prints for 0, 1 and 2 whether it is open and blocking, to argv[1]. */
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv) {
  FILE *file = argc > 1 ? fopen(argv[1], "we") : stdout;
  if (file == NULL)
    return 1;
  for (int fd = 0; fd < 3; fd++) {
    int flags = fcntl(fd, F_GETFL);
    fprintf(file, "%s ",
            flags < 0 || fd == fileno(file) ? "closed"
            : (flags & O_NONBLOCK) != 0     ? "nonblocking"
                                            : "blocking");
  }
  fclose(file);
  return 0;
}
