/* Descriptors under other numbers. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static ino_t inode_of(int fd) {
  struct stat info;
  CHECK_OK(fstat(fd, &info));
  return info.st_ino;
}

/* A file of its own at this number, closed on exec. */
static ino_t make_at(int number) {
  int fd = (int)syscall(SYS_memfd_create, "gipc-test", 1u);
  CHECK(fd >= 0);
  if (fd != number) {
    CHECK_IS(dup3(fd, number, O_CLOEXEC), number);
    close(fd);
  }
  return inode_of(number);
}

struct wanted {
  int count;
  int numbers[8];
  ino_t inodes[8];
};

static void want(struct wanted *wanted, int number, ino_t inode) {
  wanted->numbers[wanted->count] = number;
  wanted->inodes[wanted->count++] = inode;
}

static int has_all(struct ev_loop *fresh, void *argument) {
  const struct wanted *wanted = argument;
  for (int i = 0; i < wanted->count; i++)
    if (inode_of(wanted->numbers[i]) != wanted->inodes[i])
      return i + 1;
  return 0;
}

/* Both kinds of children have the descriptors that were mapped. */
static void expect(gipc_options *o, struct wanted *wanted) {
  const char *argv[20] = {PROGRAM("child_map")};
  char text[16][24];
  gipc_process *p = NULL;
  for (int i = 0; i < wanted->count; i++) {
    snprintf(text[2 * i], 24, "%d", wanted->numbers[i]);
    snprintf(text[2 * i + 1], 24, "%llu",
             (unsigned long long)wanted->inodes[i]);
    argv[2 * i + 1] = text[2 * i];
    argv[2 * i + 2] = text[2 * i + 1];
  }
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_IS(end_of(p), 0);
  CHECK_IS(in_child(has_all, wanted, o), 0);
}

static int map_all(void *argument) {
  ino_t inodes[4];
  int step = slow() ? 37 : 1;
  for (int i = 0; i < 4; i++)
    inodes[i] = make_at(i);
  for (int all = 0; all < 256; all += step) {
    gipc_options *o = new_options();
    struct wanted wanted = {0};
    for (int to = 0; to < 4; to++) {
      int from = all >> 2 * to & 3;
      CHECK_OK(gipc_options_map_fd(o, from, to));
      want(&wanted, to, inodes[from]);
    }
    expect(o, &wanted);
    gipc_options_free(o);
    for (int i = 0; i < 4; i++)
      CHECK(inode_of(i) == inodes[i]);
  }
  return 0;
}

static void every_mapping_of_0_to_3_is_as_asked(void **state) {
  not_under_valgrind();
  in_own_fork(map_all, NULL); /* H9 */
}

static int map_beside_everything(void *argument) {
  /* Numbers that the library itself would open next. */
  gipc_options *o = new_options();
  gipc_handle *r, *w;
  struct wanted wanted = {0};
  const int keep[] = {60, 5};
  ino_t one = make_at(50), other = make_at(60);
  CHECK_OK(gipc_pipe(&r, &w));
  for (int to = 3; to < 8; to++) {
    CHECK_OK(gipc_options_map_fd(o, to % 2 ? 50 : 60, to));
    want(&wanted, to, to % 2 ? one : other);
  }
  CHECK_OK(gipc_options_map_fd(o, 60, 50)); /* and back */
  CHECK_OK(gipc_options_map_fd(o, 50, 60));
  want(&wanted, 50, other);
  want(&wanted, 60, one);
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  CHECK_OK(gipc_options_set_cwd(o, "/"));
  expect(o, &wanted);
  CHECK_OK(gipc_options_keep_fds(o, keep, 2)); /* a mapping wins */
  expect(o, &wanted);
  /* A mapping that fails is an error of the start, too. */
  const char *argv[] = {"/does/not/exist", NULL};
  gipc_process *p = NULL;
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOENT);
  CHECK_OK(gipc_options_set_cwd(o, "/does/not/exist"));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -ENOENT);
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
  return 0;
}

static void a_mapping_does_not_affect_descriptors_of_the_library(void **state) {
  not_under_valgrind();
  in_own_fork(map_beside_everything, NULL);
}

static void a_program_inherits_a_handle_beside_a_mapping(void **state) {
  /* To the very number that the handle has here. */
  gipc_handle *a, *b;
  const void *data;
  size_t size;
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe_duplex(&a, &b));
  CHECK_OK(gipc_options_pass(o, "it", b));
  CHECK_OK(gipc_options_map_fd(o, 2, gipc_fd(b, GIPC_READ)));
  gipc_process *p = execute(o, PROGRAM("child_answer"), "it", NULL);
  CHECK_OK(gipc_put(a, "x", 1, 20));
  CHECK_OK(gipc_get(a, 20, &data, &size));
  CHECK_OK(gipc_close(a));
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  gipc_handle_free(a);
  gipc_handle_free(b);
}

static int use_handle(struct ev_loop *fresh, void *h) {
  return gipc_put(h, "x", 1, 20) == 0 ? 0 : 1;
}

static void a_mapping_never_gets_in_the_place_of_a_handle(void **state) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, NULL, w));
  CHECK_OK(gipc_options_map_fd(o, 2, gipc_fd(w, GIPC_WRITE)));
  int result = gipc_start_process(use_handle, w, o, &p);
  if (result == 0) { /* the handle has moved */
    CHECK_OK(gipc_get(r, 20, &data, &size));
    CHECK_IS(end_of(p), 0);
  } else {
    CHECK_IS(result, -EBUSY);
    CHECK(p == NULL && !has_children());
    CHECK_IS(gipc_directions(w), GIPC_WRITE);
  }
  gipc_options_free(o);
  gipc_handle_free(r);
  gipc_handle_free(w);
}

static void wrong_mappings_are_errors_of_the_start(void **state) {
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  struct rlimit limit;
  CHECK_IS(gipc_options_map_fd(NULL, 1, 1), -EINVAL);
  CHECK_IS(gipc_options_map_fd(o, -1, 1), -EINVAL);
  CHECK_IS(gipc_options_map_fd(o, 1, -1), -EINVAL);
  /* Of two that contradict each other the second is refused. */
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_NULL, -1));
  CHECK_IS(gipc_options_map_fd(o, 2, 1), -EINVAL);
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_INHERIT, -1));
  CHECK_OK(gipc_options_map_fd(o, 2, 1));
  CHECK_IS(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1), -EINVAL);
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_INHERIT, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
  CHECK_IS(gipc_options_map_fd(o, 1, 2), -EINVAL);
  /* A descriptor that is closed, or not allowed, is an error of the start. */
  CHECK_OK(gipc_options_map_fd(o, 777, 1));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EBADF);
  CHECK_OK(gipc_options_map_fd(o, 2, 777)); /* which does not help */
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EBADF);
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_FD, 777));
  CHECK_OK(gipc_options_map_fd(o, 2, 1));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EBADF);
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_INHERIT, -1));
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
  CHECK_OK(gipc_options_map_fd(o, 2, (int)limit.rlim_cur));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EBADF);
  const char *argv[] = {"/bin/true", NULL};
  CHECK_IS(gipc_exec_process(argv, o, &p), -EBADF);
  CHECK(p == NULL && !has_children());
  gipc_options_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_mapping_of_0_to_3_is_as_asked),
      TEST(a_mapping_does_not_affect_descriptors_of_the_library),
      TEST(a_program_inherits_a_handle_beside_a_mapping),
      TEST(a_mapping_never_gets_in_the_place_of_a_handle),
      TEST(wrong_mappings_are_errors_of_the_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
