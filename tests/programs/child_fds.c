/* Prints the numbers of its open descriptors, in order. */
#include <fcntl.h>
#include <stdio.h>

int main(void) {
  char text[2048];
  int length = 0;
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0)
      length +=
          snprintf(text + length, sizeof text - (size_t)length, "%d ", fd);
  printf("%.*s\n", length, text);
  return 0;
}
