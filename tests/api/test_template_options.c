/* The options of a start from a template: each works, or is refused. */
#include "support_process.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int check_settings(struct ev_loop *fresh, void *argument) {
  char text[64];
  struct rlimit limit;
  CHECK(getcwd(text, sizeof text) != NULL);
  CHECK_OK(strcmp(text, "/usr"));
  CHECK_OK(strcmp(getenv("GIPC_TEST_A"), "later"));
  CHECK(getenv("GIPC_TEST_B") == NULL);
  CHECK(getenv("PATH") != NULL);
  CHECK_IS(umask(0), 0123);
  CHECK_OK(getrlimit(RLIMIT_CORE, &limit));
  CHECK_IS((long)limit.rlim_max, 0);
  CHECK_IS(getpgrp(), getpid());
  CHECK_IS(getpriority(PRIO_PROCESS, 0), *(int *)argument);
  CHECK((signal_field("SigBlk") & 1u << (SIGUSR2 - 1)) != 0);
  CHECK_IS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
  return 0;
}

static void settings_are_those_of_a_start(void **state) {
  CHECK_OK(setenv("GIPC_TEST_A", "earlier", 1));
  CHECK_OK(setenv("GIPC_TEST_B", "earlier", 1));
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  int nice = getpriority(PRIO_PROCESS, 0) + 1;
  nice = nice < 19 ? nice : 19;
  CHECK_OK(gipc_options_set_cwd(o, "/usr"));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_A", "later"));
  CHECK_OK(gipc_options_set_env(o, "GIPC_TEST_B", NULL));
  CHECK_OK(gipc_options_set_umask(o, 0123));
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, 0));
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
  CHECK_OK(gipc_options_set_nice(o, 1));
  CHECK_OK(gipc_options_block_signal(o, SIGUSR2));
  CHECK_OK(gipc_options_set_no_new_privileges(o, 1));
  CHECK_OK(gipc_options_set_name(o, "a name"));
  gipc_process *p = start_from(t, check_settings, &nice, sizeof nice, o);
  CHECK_OK(strcmp(gipc_process_name(p), "a name"));
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  gipc_template_free(t);
}

static int leads_session(struct ev_loop *fresh, void *argument) {
  CHECK_IS(getsid(0), getpid());
  CHECK(getenv("PATH") == NULL);
  CHECK_OK(strcmp(getenv("ONLY"), "this"));
  return 0;
}

static void a_session_and_an_environment_are_new(void **state) {
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_SESSION));
  CHECK_OK(gipc_options_clear_env(o));
  CHECK_OK(gipc_options_set_env(o, "ONLY", "this"));
  CHECK_IS(run_from(t, leads_session, NULL, 0, o), 0);
  gipc_options_free(o);
  gipc_template_free(t);
}

/* argument: a number that something else is put at.  The child keeps no other
 * descriptor of its terminal. */
static int has_terminal(struct ev_loop *fresh, void *argument) {
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC), open_files = 0;
  CHECK(fd >= 0);
  CHECK_IS(tcgetpgrp(fd), getpid());
  close(fd);
  for (fd = 3; fd < 64; ++fd)
    open_files += isatty(fd);
  CHECK_IS(open_files, 0);
  return fcntl(*(int *)argument, F_GETFD) < 0 ? 1 : 0;
}

static void a_terminal_is_that_of_the_child(void **state) {
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, null;
  CHECK(master >= 0);
  CHECK_OK(grantpt(master));
  CHECK_OK(unlockpt(master));
  slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  null = open("/dev/null", O_RDWR | O_CLOEXEC);
  CHECK(slave >= 0 && null >= 0);
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_SESSION));
  CHECK_OK(gipc_options_set_terminal(o, slave));
  CHECK_OK(gipc_options_map_fd(o, null, null));
  CHECK_IS(run_from(t, has_terminal, &null, sizeof null, o), 0);
  /* Whatever number it comes as, something else is put there. */
  for (int number = 3; number < 16; ++number)
    CHECK_OK(gipc_options_map_fd(o, null, number));
  CHECK_IS(run_from(t, has_terminal, &null, sizeof null, o), 0);
  close(null);
  close(slave);
  close(master);
  gipc_options_free(o);
  gipc_template_free(t);
}

static int check_user(struct ev_loop *fresh, void *argument) {
  gid_t groups[4];
  CHECK_IS(getuid(), 65534);
  CHECK_IS(getgid(), 65533);
  CHECK_IS(getgroups(4, groups), 1);
  CHECK_IS(groups[0], 65532);
  return 0;
}

static void another_user_is_set(void **state) {
  gid_t group = 65532;
  if (geteuid() != 0)
    skip_because("only root can");
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_user(o, 65534, 65533, &group, 1));
  CHECK_IS(run_from(t, check_user, NULL, 0, o), 0);
  gipc_options_free(o);
  gipc_template_free(t);
}

/* ---- Streams ------------------------------------------------------------- */

static int print_both(struct ev_loop *fresh, void *argument) {
  char text[16] = "";
  CHECK_IS(read(0, text, sizeof text - 1), 2);
  printf("out %s", text);
  fprintf(stderr, " err");
  return 0;
}

static void stdio_is_piped(void **state) {
  char text[64];
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_stdio(o, 0, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  CHECK_OK(gipc_options_set_stdio(o, 2, GIPC_STDIO_STDOUT, -1));
  gipc_process *p = start_from(t, print_both, NULL, 0, o);
  int in = gipc_process_stdio(p, 0), out = gipc_process_stdio(p, 1);
  CHECK(write_all(in, "in", 2));
  close(in);
  read_text(out, text, sizeof text);
  CHECK(strcmp(text, "out in err") == 0 || strcmp(text, " errout in") == 0);
  CHECK_IS(end_of(p), 0);
  gipc_options_free(o);
  gipc_template_free(t);
}

static int write_one(struct ev_loop *fresh, void *argument) {
  return write(1, "1", 1) == 1 ? 0 : 1;
}

static void stdio_is_that_of_the_program_at_the_start(void **state) {
  int ends[2];
  char text[4];
  gipc_template *t = new_template(NULL);
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  fflush(NULL);
  int before = fcntl(1, F_DUPFD_CLOEXEC, 3);
  CHECK_IS(dup2(ends[1], 1), 1);
  gipc_process *p = NULL;
  int result = gipc_template_start(t, write_one, NULL, 0, NULL, &p);
  CHECK_IS(dup2(before, 1), 1);
  CHECK_OK(result);
  close(before);
  close(ends[1]);
  CHECK_IS(end_of(p), 0);
  read_text(ends[0], text, sizeof text);
  CHECK_OK(strcmp(text, "1"));
  gipc_template_free(t);
}

static int reads_nothing(struct ev_loop *fresh, void *argument) {
  char byte;
  return (int)read(0, &byte, 1);
}

static void closed_stdin_is_null_in_the_child(void **state) {
  gipc_template *t = new_template(NULL);
  int before = fcntl(0, F_DUPFD_CLOEXEC, 3);
  close(0);
  gipc_process *p = NULL;
  int result = gipc_template_start(t, reads_nothing, NULL, 0, NULL, &p);
  CHECK_IS(dup2(before, 0), 0);
  close(before);
  CHECK_OK(result);
  CHECK_IS(end_of(p), 0);
  gipc_template_free(t);
}

/* ---- Descriptors --------------------------------------------------------- */

struct mapped {
  ino_t inode[20];
};

static int check_mapped(struct ev_loop *fresh, void *argument) {
  struct mapped *mapped = argument;
  struct stat info;
  gipc_handle *w;
  for (int fd = 3; fd < 20; fd++) {
    CHECK_OK(fstat(fd, &info));
    CHECK(info.st_ino == mapped->inode[fd]);
  }
  CHECK_OK(gipc_inherit("w", &w));
  CHECK_OK(gipc_put(w, "there", 5, 100));
  return 0;
}

/* All the numbers at which the template receives descriptors. */
static void any_number_can_be_mapped(void **state) {
  struct mapped mapped;
  struct stat info;
  int pipes[20][2];
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  CHECK_OK(gipc_pipe(&r, &w));
  CHECK_OK(gipc_options_pass(o, "w", w));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  for (int fd = 3; fd < 20; fd++) {
    CHECK_OK(pipe2(pipes[fd], O_CLOEXEC));
    CHECK_OK(fstat(pipes[fd][0], &info));
    mapped.inode[fd] = info.st_ino;
    CHECK_OK(gipc_options_map_fd(o, pipes[fd][0], fd));
  }
  gipc_process *p = start_from(t, check_mapped, &mapped, sizeof mapped, o);
  CHECK_OK(gipc_get(r, 100, &data, &size));
  CHECK_IS(end_of(p), 0);
  for (int fd = 3; fd < 20; fd++) {
    close(pipes[fd][0]);
    close(pipes[fd][1]);
  }
  gipc_handle_free(r);
  gipc_handle_free(w);
  gipc_options_free(o);
  gipc_template_free(t);
}

static int check_kept(struct ev_loop *fresh, void *argument) {
  int *fds = argument;
  CHECK(fcntl(fds[0], F_GETFD) >= 0);
  CHECK_IS(fcntl(fds[1], F_GETFD), -1);
  CHECK_IS(write(fds[0], "k", 1), 1);
  return 0;
}

static void kept_descriptors_are_sent(void **state) {
  int ends[2], fds[2] = {400, 401};
  char byte;
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  CHECK_IS(dup2(ends[1], fds[0]), fds[0]);
  CHECK_IS(dup2(ends[1], fds[1]), fds[1]);
  int list[2] = {fds[0], 402}; /* 402 is not open */
  CHECK_OK(gipc_options_keep_fds(o, list, 2));
  CHECK_IS(run_from(t, check_kept, fds, sizeof fds, o), 0);
  CHECK_IS(read(ends[0], &byte, 1), 1);
  close(fds[0]);
  close(fds[1]);
  close(ends[0]);
  close(ends[1]);
  gipc_options_free(o);
  gipc_template_free(t);
}

static int has_fd(struct ev_loop *fresh, void *argument) {
  return fcntl((int)(intptr_t)argument, F_GETFD) >= 0 ? 1 : 0;
}

static void children_have_what_the_template_keeps(void **state) {
  gipc_template_free(new_template(NULL)); /* or skips */
  gipc_options *o = new_options();
  int fd = fcntl(2, F_DUPFD_CLOEXEC, 300);
  CHECK_OK(gipc_options_keep_fds(o, &fd, 1));
  CHECK_OK(gipc_options_map_fd(o, 2, 310));
  gipc_template *t = new_template(o);
  CHECK_IS(run_from(t, has_fd, INT(fd), 0, NULL), 1);
  CHECK_IS(run_from(t, has_fd, INT(310), 0, NULL), 1);
  gipc_options_free(o);
  o = new_options();
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  CHECK_IS(run_from(t, has_fd, INT(310), 0, o), 0);
  gipc_template_free(t);
  /* Without keep_fds: those that were mapped alone. */
  gipc_options_free(o);
  o = new_options();
  CHECK_OK(gipc_options_map_fd(o, 2, 310));
  t = new_template(o);
  CHECK_IS(run_from(t, has_fd, INT(fd), 0, NULL), 0);
  CHECK_IS(run_from(t, has_fd, INT(310), 0, NULL), 1);
  gipc_template_free(t);
  close(fd);
  gipc_options_free(o);
}

static void too_many_descriptors_are_an_error(void **state) {
  gipc_template *t = new_template(NULL);
  gipc_options *o = new_options();
  gipc_process *p = NULL;
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
  if (limit.rlim_cur < 1100)
    skip_because("too few descriptors are allowed");
  for (int i = 0; i < 248; i++)
    CHECK_OK(gipc_options_map_fd(o, 2, 700 + i));
  CHECK_IS(run_from(t, return_argument, INT(6), 0, o), 6);
  CHECK_OK(gipc_options_map_fd(o, 2, 1000));
  CHECK_IS(gipc_template_start(t, return_argument, NULL, 0, o, &p), -E2BIG);
  CHECK(p == NULL && !count_zombies());
  gipc_options_free(o);
  gipc_template_free(t);
}

/* ---- The end of the parent ----------------------------------------------- */

static int starts_a_daemon(void *argument) {
  int *ends = argument;
  gipc_template *t = NULL;
  gipc_options *o = new_options();
  CHECK_OK(gipc_template_new(NULL, &t));
  CHECK_OK(gipc_options_set_daemon(o, 1));
  gipc_process *p = start_from(t, wait_for_signal, NULL, 0, o);
  pid_t pid = gipc_process_pid(p);
  CHECK(write_all(ends[1], &pid, sizeof pid));
  return 0;
}

static void a_daemon_ends_with_the_program(void **state) {
  int ends[2];
  pid_t pid;
  gipc_template_free(new_template(NULL));
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  in_own_fork(starts_a_daemon, ends);
  CHECK(read_all(ends[0], &pid, sizeof pid));
  CHECK(gone_within(pid, 100));
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(settings_are_those_of_a_start),
      TEST(a_session_and_an_environment_are_new),
      TEST(a_terminal_is_that_of_the_child),
      TEST(another_user_is_set),
      TEST(stdio_is_piped),
      TEST(stdio_is_that_of_the_program_at_the_start),
      TEST(closed_stdin_is_null_in_the_child),
      TEST(any_number_can_be_mapped),
      TEST(kept_descriptors_are_sent),
      TEST(children_have_what_the_template_keeps),
      TEST(too_many_descriptors_are_an_error),
      TEST(a_daemon_ends_with_the_program),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
