/* child_map [NUMBER INODE]...: 0 when each number is that file and stays open
 * across an exec; else which of them is not, from 1. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    struct stat info;
    int fd = atoi(argv[i]);
    if (fstat(fd, &info) != 0 || fcntl(fd, F_GETFD) != 0 ||
        info.st_ino != strtoull(argv[i + 1], NULL, 10))
      return (i + 1) / 2;
  }
  return 0;
}
