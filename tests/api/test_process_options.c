/* Options: terminal, umask, nice value, program, and single IDs. */
#include "support_process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>

/* ---- Terminal ----------------------------------------------------------- */

/* Skips the test where there are none, as in a bare root. */
static int open_terminal(int *master) {
  *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*master < 0)
    skip();
  CHECK_OK(grantpt(*master));
  CHECK_OK(unlockpt(*master));
  int slave = open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  CHECK(slave >= 0);
  return slave;
}

static int leads_terminal(struct ev_loop *fresh, void *argument) {
  int slave = (int)(intptr_t)argument;
  CHECK(getsid(0) == getpid() && getpgrp() == getpid());
  CHECK_IS(tcgetsid(slave), getpid());
  CHECK_IS(tcgetpgrp(slave), getpid());
  CHECK(open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0);
  return 0;
}

static void a_child_leads_the_terminal_that_it_is_given(void **state) {
  int master, slave = open_terminal(&master);
  const char *argv[] = {"sh", "-c", "exec 5<>/dev/tty && test -t 5", NULL};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_terminal(o, slave));
  CHECK_IS(in_child(leads_terminal, INT(slave), o), 0);
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_IS(end_of(p), 0);
  /* One session has it at a time. */
  gipc_process *first = start(wait_for_signal, NULL, o);
  p = NULL;
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EPERM);
  CHECK_IS(gipc_exec_process(argv, o, &p), -EPERM);
  CHECK(p == NULL);
  destroy(first);
  gipc_options_free(o);
  close(slave);
  close(master);
}

static void
a_file_that_is_not_a_terminal_is_an_error_of_the_start(void **state) {
  int fds[2];
  const char *argv[] = {"true", NULL};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(pipe2(fds, O_CLOEXEC));
  CHECK_IS(gipc_options_set_terminal(NULL, 0), -EINVAL);
  CHECK_IS(gipc_options_set_terminal(o, -1), -EINVAL);
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_NEW));
  CHECK_OK(gipc_options_set_terminal(o, fds[0]));
  CHECK_IS(gipc_options_set_group(o, GIPC_GROUP_NEW), -EINVAL);
  CHECK_IS(gipc_options_set_group(o, GIPC_GROUP_INHERIT), -EINVAL);
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_SESSION));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -ENOTTY);
  CHECK_IS(gipc_exec_process(argv, o, &p), -ENOTTY);
  CHECK_OK(gipc_options_set_terminal(o, 777));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EBADF);
  CHECK(p == NULL && !has_children());
  gipc_options_free(o);
  close(fds[0]);
  close(fds[1]);
}

/* ---- Mask of files ------------------------------------------------------- */

static int tell_umask(struct ev_loop *fresh, void *argument) {
  return umask(0) == (mode_t)(intptr_t)argument;
}

static void the_mask_of_files_is_the_childs_alone(void **state) {
  char text[64];
  const char *argv[] = {"sh", "-c", "umask", NULL};
  mode_t before = umask(022);
  gipc_options *o = new_options();
  CHECK_IS(in_child(tell_umask, INT(022), o), 1);
  CHECK_OK(gipc_options_set_umask(o, 0137));
  CHECK_IS(in_child(tell_umask, INT(0137), o), 1);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  assert_string_equal(text, "0137\n");
  CHECK_OK(gipc_options_set_umask(o, 0)); /* which is not the default */
  CHECK_IS(in_child(tell_umask, INT(0), o), 1);
  CHECK_IS(gipc_options_set_umask(NULL, 0), -EINVAL);
  CHECK_IS(gipc_options_set_umask(o, 01000), -EINVAL);
  CHECK_IS(in_child(tell_umask, INT(0), o), 1); /* nothing has changed */
  gipc_options_free(o);
  CHECK_IS((long)umask(before), 022);
}

/* ---- Nice value ---------------------------------------------------------- */

static int tell_nice(struct ev_loop *fresh, void *argument) {
  return getpriority(PRIO_PROCESS, 0) + 20;
}

static int without_the_right_to_be_faster(void *argument) {
  const char *argv[] = {"true", NULL};
  struct rlimit none = {0, 0};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(setrlimit(RLIMIT_NICE, &none));
  if (geteuid() == 0)
    CHECK_OK(setuid(65534));
  CHECK_OK(gipc_options_set_nice(o, -1));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EPERM);
  CHECK_IS(gipc_exec_process(argv, o, &p), -EPERM);
  CHECK(p == NULL && !has_children());
  gipc_options_free(o);
  return 0;
}

/* Root of a user namespace may not, though its number is 0. */
static int try_lower_nice(struct ev_loop *fresh, void *argument) {
  return setpriority(PRIO_PROCESS, 0, -1) == 0 ? 0 : 1;
}

static void a_child_has_the_nice_value_that_was_set(void **state) {
  not_under_valgrind();
  char text[64], expected[64];
  const char *argv[] = {"nice", NULL};
  int own = getpriority(PRIO_PROCESS, 0), more = own < 15 ? own + 5 : 19;
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_nice(o, 5));
  CHECK_IS(in_child(tell_nice, NULL, o), more + 20);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  snprintf(expected, sizeof expected, "%d\n", more);
  assert_string_equal(text, expected);
  CHECK_OK(gipc_options_set_nice(o, 40));
  CHECK_IS(in_child(tell_nice, NULL, o), 39);
  if (in_child(try_lower_nice, NULL, NULL) == 0) {
    /* -1 is a value, and no error. */
    CHECK_OK(gipc_options_set_nice(o, -1 - own));
    CHECK_IS(in_child(tell_nice, NULL, o), 19);
  }
  CHECK_IS(getpriority(PRIO_PROCESS, 0), own);
  CHECK_IS(gipc_options_set_nice(NULL, 0), -EINVAL);
  CHECK_IS(gipc_options_set_nice(o, 41), -EINVAL);
  CHECK_IS(gipc_options_set_nice(o, -41), -EINVAL);
  gipc_options_free(o);
  in_own_fork(without_the_right_to_be_faster, NULL);
}

/* ---- Name ---------------------------------------------------------------- */

static void a_program_may_have_any_name(void **state) {
  char text[65536];
  const char *argv[] = {"-any name", "x", NULL};
  gipc_process *p = NULL;
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_program(o, PROGRAM("child_arguments")));
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strncmp(text, "[-any name][x]\n", 15) == 0);
  argv[0] = "";
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strncmp(text, "[][x]\n", 6) == 0);
  /* Without '/' it is searched, as argv[0] is. */
  const char *shell[] = {"-sh", "-c", "echo $0", NULL};
  CHECK_OK(gipc_options_set_program(o, "sh"));
  CHECK_IS(output_of(o, shell, text, sizeof text), 0);
  assert_string_equal(text, "-sh\n");
  CHECK_OK(gipc_options_set_program(o, "/does/not/exist"));
  CHECK_IS(gipc_exec_process(shell, o, &p), -ENOENT);
  CHECK_IS(gipc_options_set_program(NULL, "sh"), -EINVAL);
  CHECK_IS(gipc_options_set_program(o, NULL), -EINVAL);
  CHECK_IS(gipc_options_set_program(o, ""), -EINVAL);
  CHECK_IS(in_child(return_argument, INT(3), o), 3); /* of no use there */
  gipc_options_free(o);
}

/* ---- One ID ---------------------------------------------------------------
 */

struct ids {
  uid_t uid;
  gid_t gid;
  int groups;
};

static int has_ids(struct ev_loop *fresh, void *argument) {
  const struct ids *ids = argument;
  CHECK(getuid() == ids->uid && geteuid() == ids->uid);
  CHECK(getgid() == ids->gid && getegid() == ids->gid);
  CHECK_IS(getgroups(0, NULL), ids->groups);
  return 0;
}

static void one_id_may_be_set_alone(void **state) {
  if (geteuid() != 0)
    skip();
  struct ids ids = {getuid(), 65533, getgroups(0, NULL)};
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_gid(o, 65533));
  CHECK_IS(in_child(has_ids, &ids, o), 0);
  gipc_options_free(o);
  o = new_options();
  ids.uid = 65534;
  ids.gid = getgid();
  CHECK_OK(gipc_options_set_uid(o, 65534));
  CHECK_IS(in_child(has_ids, &ids, o), 0);
  ids.gid = 65533; /* both, in the order that works */
  CHECK_OK(gipc_options_set_gid(o, 65533));
  CHECK_IS(in_child(has_ids, &ids, o), 0);
  /* A single ID replaces its part of a whole user; a whole user replaces both.
   */
  const gid_t groups[] = {7, 8};
  CHECK_OK(gipc_options_set_user(o, 1, 2, groups, 2));
  CHECK_OK(gipc_options_set_uid(o, 3));
  ids = (struct ids){3, 2, 2};
  CHECK_IS(in_child(has_ids, &ids, o), 0);
  gipc_options_free(o);
}

static int as_nobody(void *argument) {
  const char *argv[] = {"/bin/true", NULL};
  gipc_process *p = NULL;
  if (geteuid() == 0) {
    CHECK_OK(setgid(65533));
    CHECK_OK(setuid(65534));
  }
  struct ids ids = {getuid(), getgid(), getgroups(0, NULL)};
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_uid(o, getuid()));
  CHECK_OK(gipc_options_set_gid(o, getgid()));
  CHECK_IS(in_child(has_ids, &ids, o), 0);
  CHECK_OK(gipc_exec_process(argv, o, &p));
  CHECK_IS(end_of(p), 0);
  p = NULL;
  CHECK_OK(gipc_options_set_uid(o, 0));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EPERM);
  CHECK_OK(gipc_options_set_uid(o, getuid()));
  CHECK_OK(gipc_options_set_gid(o, 0));
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EPERM);
  CHECK(p == NULL && !has_children());
  CHECK_IS(gipc_options_set_uid(NULL, 1), -EINVAL);
  CHECK_IS(gipc_options_set_gid(NULL, 1), -EINVAL);
  CHECK_IS(gipc_options_set_uid(o, (uid_t)-1), -EINVAL);
  CHECK_IS(gipc_options_set_gid(o, (gid_t)-1), -EINVAL);
  gipc_options_free(o);
  return 0;
}

static void a_program_without_privileges_can_name_itself(void **state) {
  not_under_valgrind();
  in_own_fork(as_nobody, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_child_leads_the_terminal_that_it_is_given),
      TEST(a_file_that_is_not_a_terminal_is_an_error_of_the_start),
      TEST(the_mask_of_files_is_the_childs_alone),
      TEST(a_child_has_the_nice_value_that_was_set),
      TEST(a_program_may_have_any_name),
      TEST(one_id_may_be_set_alone),
      TEST(a_program_without_privileges_can_name_itself),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
