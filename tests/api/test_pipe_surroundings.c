/* No call changes the state of the program: errno, signals, directories,
 * descriptors, standard output. */
#include "support.h"

#include <dlfcn.h>
#include <ev.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- A look around
 * -------------------------------------------------------------- */

struct surroundings {
  char cwd[4096];
  mode_t mask;
  sigset_t blocked, pending;
  struct sigaction actions[65];
};

static void look(struct surroundings *s) {
  memset(s, 0, sizeof *s);
  assert_non_null(getcwd(s->cwd, sizeof s->cwd));
  s->mask = umask(022);
  umask(s->mask);
  pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
  sigpending(&s->pending);
  for (int i = 1; i < 65; i++)
    sigaction(i, NULL, &s->actions[i]);
}

static void same(const struct surroundings *a, const struct surroundings *b) {
  assert_string_equal(a->cwd, b->cwd);
  assert_int_equal(a->mask, b->mask);
  for (int i = 1; i < 65; i++) {
    assert_int_equal(sigismember(&a->blocked, i), sigismember(&b->blocked, i));
    assert_int_equal(sigismember(&a->pending, i), sigismember(&b->pending, i));
    assert_true(a->actions[i].sa_handler == b->actions[i].sa_handler);
    assert_int_equal(a->actions[i].sa_flags, b->actions[i].sa_flags);
  }
}

/* ---- Every call, in success and in failure
 * --------------------------------------- */

static int calls, wrong;

/* errno is some value before a call and the same after it. */
static int kept(int result, const char *call) {
  calls++;
  if (errno != 4321) {
    print_error("errno is %d after %s (%d)\n", errno, call, result);
    wrong++;
  }
  return result;
}
#define CALL(call) (errno = 4321, kept((call), #call))

static void on_message(gipc_handle *h, const void *data, size_t size,
                       void *user) {
  (void)CALL(gipc_try_put(h, data, size));
  (void)CALL(gipc_pause(h));
  (void)CALL(gipc_resume(h));
}

static void every_call(void) {
  gipc_handle *r, *w, *a, *b;
  const void *data;
  size_t size, pending, accepted;
  static char block[1 << 20], into[1 << 20];
  gipc_stats stats = {.size = sizeof stats};
  gipc_message batch[] = {{"a", 1}, {block, 50000}};
  gipc_events events = {sizeof events, on_message, NULL, NULL};
  struct ev_loop *loop = ev_loop_new(0);
  int s[2], p[2];

  OK(CALL(gipc_pipe(&r, &w)));
  OK(CALL(gipc_pipe_duplex(&a, &b)));
  (void)CALL(gipc_try_get(r, &data, &size));
  (void)CALL(gipc_get(r, 0.001, &data, &size));
  (void)CALL(gipc_next_size(r, &size));
  (void)CALL(gipc_get_into(r, into, 10, &size));
  (void)CALL(gipc_put(r, "x", 1, 0));
  OK(CALL(gipc_put(w, "x", 1, 1)));
  OK(CALL(gipc_try_put(w, "x", 1)));
  OK(CALL(gipc_flush_step(w)));
  OK(CALL(gipc_flush(w, 1)));
  OK(CALL(gipc_put_many(w, batch, 2, 1, &accepted)));
  for (int i = 0; i < 4; i++)
    OK(CALL(gipc_get(r, 1, &data, &size)));
  (void)CALL(gipc_put_start(w, block, sizeof block));
  (void)CALL(gipc_put_step(w));
  (void)CALL(gipc_get_into(r, into, sizeof into, &size));
  (void)CALL(gipc_get_cancel(r));
  (void)CALL(gipc_put_cancel(w));
  (void)CALL(gipc_close(w));
  (void)CALL(gipc_put(w, block, sizeof block, 0));
  (void)CALL(gipc_fd(r, GIPC_READ));
  (void)CALL(gipc_directions(r));
  (void)CALL(gipc_set_limit(r, 1 << 30));
  (void)CALL(gipc_set_read_limit(r, 1 << 20));
  (void)CALL(gipc_set_marks(r, 1, 2));
  (void)CALL(gipc_set_budget(r, 1, 2));
  (void)CALL(gipc_pending(r, GIPC_READ, &pending));
  (void)CALL(gipc_handle_stats(r, &stats));
  (void)CALL(gipc_open(9999, -1, &r));
  OK(CALL(gipc_start(a, loop, &events, NULL)));
  OK(CALL(gipc_put(b, "x", 1, 1)));
  for (int i = 0; i < 5; i++)
    ev_run(loop, EVRUN_NOWAIT);
  OK(CALL(gipc_get(b, 1, &data, &size)));
  OK(CALL(gipc_stop(a)));
  OK(CALL(gipc_shutdown(a)));
  (void)CALL(gipc_get(b, 1, &data, &size));
  OK(CALL(gipc_close(b)));
  (void)CALL(gipc_put(a, "x", 1, 1));
  (void)CALL((gipc_handle_free(a), 0));
  (void)CALL((gipc_handle_free(b), 0));
  (void)CALL((gipc_handle_free(r), 0));
  (void)CALL(gipc_put(w, "x", 1, 1)); /* EPIPE */
  (void)CALL((gipc_handle_free(w), 0));

  /* Adopted pipes and files, for which the library makes other calls. */
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  OK(CALL(gipc_open(s[0], s[0], &a)));
  OK(CALL(gipc_open(s[1], s[1], &b)));
  OK(CALL(gipc_put(a, "x", 1, 1)));
  OK(CALL(gipc_get(b, 1, &data, &size)));
  (void)CALL((gipc_handle_free(a), 0));
  (void)CALL((gipc_handle_free(b), 0));
  for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
    assert_int_equal(pipe2(p, flags), 0);
    OK(CALL(gipc_open(p[0], -1, &r)));
    OK(CALL(gipc_open(-1, p[1], &w)));
    (void)CALL(gipc_put(w, block, sizeof block, 0));
    (void)CALL(gipc_try_get(r, &data, &size));
    (void)CALL((gipc_handle_free(r), 0));
    (void)CALL(gipc_put(w, "x", 1, 1)); /* EPIPE */
    (void)CALL((gipc_handle_free(w), 0));
  }
  ev_loop_destroy(loop);
}

static void no_call_changes_the_state_of_the_program(void **state) { /* H105 */
  struct surroundings before, after;
  calls = wrong = 0;
  look(&before);
  every_call();
  look(&after);
  same(&before, &after);
  assert_int_equal(wrong, 0);
  assert_true(calls > 50);
}

static void signals_that_the_program_blocks_stay_blocked(void **state) {
  struct surroundings before, after; /* H105 */
  sigset_t all, old;
  sigfillset(&all);
  sigdelset(&all, SIGALRM); /* the deadline of the test */
  pthread_sigmask(SIG_BLOCK, &all, &old);
  look(&before);
  every_call();
  look(&after);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  same(&before, &after);
}

static void nothing_is_printed(void **state) { /* H104 */
  int out = memfd_create("out", MFD_CLOEXEC), saved[2];
  fflush(stdout);
  fflush(stderr);
  for (int i = 0; i < 2; i++) {
    saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 10);
    dup2(out, i + 1);
  }
  every_call();
  fflush(stdout);
  fflush(stderr);
  for (int i = 0; i < 2; i++) {
    dup2(saved[i], i + 1);
    close(saved[i]);
  }
  assert_int_equal(lseek(out, 0, SEEK_END), 0);
  close(out);
}

static void every_result_has_a_text(void **state) {
  for (int code = -10020; code < 200; code++) {
    assert_non_null(gipc_strerror(code));
    assert_true(gipc_strerror(code)[0] != '\0');
    assert_ptr_equal(gipc_strerror(code), gipc_strerror(code)); /* static */
  }
  assert_int_equal(gipc_version(), GIPC_VERSION);
}

/* The bindings show these texts in their own languages. */
static void a_text_names_no_function_of_c(void **state) {
  for (int code = -10020; code < 200; code++)
    assert_null(strstr(gipc_strerror(code), "()"));
}

/* The system's texts mislead: "connection timed out" where no connection
 * failed, and "operation now in progress", which does not say whether to put
 * again. */
static void
codes_with_a_meaning_of_their_own_have_their_own_text(void **state) {
  static const int codes[] = {EAGAIN,      EBUSY,   ECANCELED,
                              EINPROGRESS, ENOBUFS, ETIMEDOUT};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    assert_string_not_equal(gipc_strerror(-codes[i]), strerror(codes[i]));
}

/* ---- The library before main
 * ------------------------------------------------------- */

static int initializers = -1;
static int find_library(struct dl_phdr_info *info, size_t size, void *unused) {
  if (strstr(info->dlpi_name, "libgipc.so") == NULL)
    return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_DYNAMIC)
      continue;
    const ElfW(Dyn) *entry =
        (const ElfW(Dyn) *)(info->dlpi_addr + header->p_vaddr);
    initializers = 0;
    for (; entry->d_tag != DT_NULL; entry++)
      if (entry->d_tag == DT_INIT_ARRAYSZ)
        initializers = (int)(entry->d_un.d_val / sizeof(void *));
  }
  return 1;
}

static void nothing_runs_before_main(void **state) { /* H107 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip_because("a sanitizer does");
#endif
  dl_iterate_phdr(find_library, NULL);
  if (initializers < 0)
    skip_because("the library is linked statically");
    /* The compiler's frame_dummy, and on one machine a look for its atomic
     * calls. */
#ifdef __aarch64__
  const int of_compiler = 2;
#else
  const int of_compiler = 1;
#endif
  assert_true(initializers <= of_compiler);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_call_changes_the_state_of_the_program),
      TEST(signals_that_the_program_blocks_stay_blocked),
      TEST(nothing_is_printed),
      TEST(every_result_has_a_text),
      TEST(a_text_names_no_function_of_c),
      TEST(codes_with_a_meaning_of_their_own_have_their_own_text),
      TEST(nothing_runs_before_main),
  };
  return cmocka_run_group_tests_name("pipe surroundings", tests, NULL, NULL);
}
