/* Hands an array to a child without a copy of it in a message: in sealed
 * memory, whose descriptor goes with the message.  The child maps it. */
#define _GNU_SOURCE /* memfd_create() */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gipc.h>

enum { COUNT = 1 << 20, SIZE = COUNT * sizeof(double) };
enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static void check(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* A descriptor of memory with an array, which nobody can change any more. */
static int make_array(void) {
  int fd = memfd_create("array", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  double *array;

  if (fd < 0 || ftruncate(fd, SIZE) < 0 ||
      (array = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
          MAP_FAILED)
    err(1, "memory");
  for (int i = 0; i < COUNT; i++)
    array[i] = i;
  munmap(array, SIZE); /* it could be written through the mapping */
  if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
    err(1, "F_ADD_SEALS");
  return fd;
}

/* The array of a descriptor.  A peer that does not seal it could change it, or
 * end this process by SIGBUS when it shrinks it. */
static const double *map_array(int fd) {
  struct stat info;
  int seals = fcntl(fd, F_GET_SEALS);
  void *array = MAP_FAILED;

  if (seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &info) == 0 &&
      info.st_size == SIZE)
    array = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
  if (array == MAP_FAILED)
    errx(1, "not an array");
  close(fd); /* the mapping keeps the memory */
  return array;
}

static int add_up(struct ev_loop *fresh, void *argument) {
  gipc_handle *h = argument;
  const void *message;
  size_t size;
  int fd;

  (void)fresh;
  while (gipc_get(h, -1, &message, &size) == 0) {
    double sum = 0;
    const double *array;

    if (gipc_take_fds(h, &fd, 1) != 1)
      errx(1, "no descriptor");
    array = map_array(fd);
    for (int i = 0; i < COUNT; i++)
      sum += array[i];
    munmap((void *)array, SIZE);
    check(gipc_put(h, &sum, sizeof sum, -1), "gipc_put");
  }
  return 0;
}

int main(void) {
  gipc_handle *mine, *its;
  gipc_options *options;
  gipc_process *process;
  const void *message;
  double sum = (double)COUNT * (COUNT - 1) / 2;
  size_t size;
  int fd, result;

  check(gipc_pipe_duplex(&mine, &its), "gipc_pipe_duplex");
  check(gipc_options_new(&options), "gipc_options_new");
  check(gipc_options_pass(options, NULL, its), "gipc_options_pass");
  check(gipc_start_process(add_up, its, options, &process),
        "gipc_start_process");
  gipc_options_free(options);
  gipc_handle_free(its);

  fd = make_array();
  result = gipc_put_with(mine, "sum", 3, &fd, 1, 5);
  close(fd);
  if (result != -EOPNOTSUPP) { /* else: not Linux */
    check(result, "gipc_put_with");
    check(gipc_get(mine, 20, &message, &size), "gipc_get");
    memcpy(&sum, message, sizeof sum);
  }
  printf("%.0f\n", sum);
  gipc_handle_free(mine);
  check(gipc_process_join(process, 5), "gipc_process_join");
  gipc_process_free(process);
  return 0;
}
