/* Messages around 2 GiB and over 4 GiB, which one system call cannot move and
 * a length of four bytes cannot describe. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* Memory of this size that costs little: its first and its last piece are its
 * own, and all between are the same pages. */
enum { piece = 64 << 20 };

static unsigned char *wide_memory(size_t size, int *file) {
  unsigned char *memory =
      mmap(NULL, size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert_true(memory != MAP_FAILED);
  *file = memfd_create("wide", MFD_CLOEXEC);
  assert_true(*file >= 0);
  assert_int_equal(ftruncate(*file, piece), 0);
  for (size_t at = piece; at + 2 * (size_t)piece <= size; at += piece)
    assert_true(mmap(memory + at, piece, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, *file, 0) != MAP_FAILED);
  return memory;
}

static const size_t sizes[] = {((size_t)1 << 31) - 1, (size_t)1 << 31,
                               ((size_t)1 << 31) + 1,
                               (size_t)((UINT64_C(1) << 32) + 77)};
enum { count = sizeof sizes / sizeof *sizes, ends = 1 << 16 };

struct receiver {
  gipc_handle *h;
  unsigned char *into;
  size_t good;
};

static const char *receive_all(struct receiver *r) {
  for (size_t i = 0; i < count; i++) {
    size_t size = 0, next = 0;
    int result;
    memset(r->into, 0xee, ends);
    memset(r->into + sizes[i] - ends, 0xee, ends);
    while ((result = gipc_next_size(r->h, &next)) == -EAGAIN)
      wait_fd(gipc_fd(r->h, GIPC_READ), POLLIN, 60000);
    if (result != 0 || next != sizes[i])
      return "get_start";
    while ((result = gipc_get_into(r->h, r->into, next, &size)) == -EAGAIN)
      wait_fd(gipc_fd(r->h, GIPC_READ), POLLIN, 60000);
    if (result != 0 || size != sizes[i])
      return "get_into";
    if (!filled(r->into, ends, i) ||
        !filled(r->into + size - ends, ends, i + 100))
      return "bytes";
    r->good++;
  }
  return NULL;
}

static void *receive(void *argument) {
  struct receiver *r = argument;
  const char *failed = receive_all(r);
  if (failed != NULL) {
    print_error("%s, message %zu\n", failed, r->good);
    /* The writer must not wait for a reader that has stopped. */
    gipc_handle_free(r->h);
  }
  return (void *)failed;
}

static void messages_of_two_and_four_gigabytes_arrive(void **state) { /* H62 */
  size_t room = (size_t)((UINT64_C(1) << 32) + 2 * (uint64_t)piece);
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  struct receiver receiver = {0};
  pthread_t thread;
  void *failed = NULL;
  int files[2];
  unsigned char *from;
  if (sizeof(size_t) < 8) {
    print_message("too little memory for 4 GiB\n");
    skip();
  }
  if (slow()) {
    print_message("10 GiB take too long here\n");
    skip();
  }
  deadline(600);
  from = wide_memory(room, &files[0]);
  receiver.into = wide_memory(room, &files[1]);
  OK(gipc_pipe(&r, &w));
  OK(gipc_set_limit(r, GIPC_UNLIMITED));
  RESULT(gipc_put(w, from, sizes[1], 10), GIPC_ETOOBIG); /* before any byte */
  OK(gipc_set_limit(w, GIPC_UNLIMITED));
  receiver.h = r;
  assert_int_equal(pthread_create(&thread, NULL, receive, &receiver), 0);
  for (size_t i = 0; i < count; i++) {
    fill(from, ends, i);
    fill(from + sizes[i] - ends, ends, i + 100);
    OK(gipc_put(w, from, sizes[i], 500));
  }
  pthread_join(thread, &failed);
  assert_null(failed);
  OK(gipc_put(w, "behind", 6, 10));
  OK(gipc_get(r, 10, &data, &size));
  assert_memory_equal(data, "behind", 6);
  gipc_handle_free(r);
  gipc_handle_free(w);
  munmap(from, room);
  munmap(receiver.into, room);
  close(files[0]);
  close(files[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(messages_of_two_and_four_gigabytes_arrive),
  };
  return cmocka_run_group_tests_name("pipe huge", tests, NULL, NULL);
}
