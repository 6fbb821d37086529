/* Users, privileges, limits, process groups and sessions of children. */
#include "support_process.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- Users ------------------------------------------------------------------
 */

static gipc_options *options_of_nobody(void) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_user(o, 65534, 65534, NULL, 0));
  return o;
}

static int drop_is_complete(struct ev_loop *fresh, void *argument) {
  uid_t real, effective, saved;
  gid_t groups[4];
  CHECK_OK(getresuid(&real, &effective, &saved));
  CHECK(real == 65534 && effective == 65534 && saved == 65534);
  CHECK_OK(getresgid(&real, &effective, &saved));
  CHECK(real == 65534 && effective == 65534 && saved == 65534);
  CHECK_IS(getgroups(4, groups), (intptr_t)argument);
  if (argument != NULL)
    CHECK(groups[0] == 4711 && groups[1] == 4712);
  CHECK_IS(setuid(0), -1);
  CHECK_IS(setgid(0), -1);
  CHECK_IS(setgroups(0, NULL), -1);
  CHECK_IS(access("/root", W_OK), -1);
  return 0;
}

static void a_function_drops_its_user_permanently(void **state) {
  /* H18 */
  const gid_t groups[] = {4711, 4712};
  if (geteuid() != 0)
    skip_because("only root can become another user");
  gipc_options *o = options_of_nobody();
  CHECK_IS(in_child(drop_is_complete, INT(0), o), 0);
  CHECK_OK(gipc_options_set_user(o, 65534, 65534, groups, 2));
  CHECK_IS(in_child(drop_is_complete, INT(2), o), 0);
  CHECK_IS((long)geteuid(), 0);
  gipc_options_free(o);
}

static void a_program_drops_its_user_permanently(void **state) {
  /* H18, H3 */
  const gid_t groups[] = {4711, 4712};
  char text[256];
  /* In a folder that every user can search. */
  const char *argv[] = {"/bin/sh", "-c",
                        "id -u; id -g; id -G; setpriv --reuid 0 true 2>&1 "
                        ">/dev/null && echo regained; exit 0",
                        NULL};
  if (geteuid() != 0)
    skip_because("only root can become another user");
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_user(o, 65534, 65533, groups, 2));
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strncmp(text, "65534\n65533\n65533 4711 4712\n", 28) == 0);
  CHECK(strstr(text, "regained") == NULL);
  gipc_options_free(o);
}

static int without_the_right(void *argument) {
  gipc_options *o = new_options();
  const char *argv[] = {"/bin/true", NULL};
  gipc_process *p = NULL;
  CHECK_OK(setgid(65534));
  CHECK_OK(setuid(65534));
  CHECK_OK(gipc_options_set_user(o, 0, 0, NULL, 0));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EPERM);
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EPERM);
  CHECK(p == NULL && !has_children());
  return 0;
}

static void a_drop_that_fails_starts_nothing(void **state) {
  not_under_valgrind();
  if (geteuid() != 0)
    skip_because("only root can become another user");
  in_own_fork(without_the_right, NULL); /* H18 */
}

#ifdef SYS_setuid32 /* the plain ones take 16 bits there */
#undef SYS_setgroups
#undef SYS_setgid
#undef SYS_setuid
#define SYS_setgroups SYS_setgroups32
#define SYS_setgid SYS_setgid32
#define SYS_setuid SYS_setuid32
#endif
static const long identity_calls[] = {SYS_setgroups, SYS_setgid, SYS_setuid};

static int refused_setuid(void *argument) {
  /* The limit of processes of that user, in old kernels. */
  gipc_options *o = options_of_nobody();
  const char *argv[] = {"/bin/true", NULL};
  gipc_process *p = NULL;
  CHECK(fail_call(identity_calls[(intptr_t)argument], EAGAIN));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EAGAIN);
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EAGAIN);
  CHECK(p == NULL && !has_children());
  return 0;
}

static void each_step_of_a_drop_is_checked(void **state) {
  if (geteuid() != 0)
    skip_because("only root can become another user");
  for (int i = 0; i < 3; i++)
    in_own_fork(refused_setuid, INT(i)); /* H18 */
}

/* The call says 0 and has done nothing. */
static int ignored_setuid(void *argument) {
  gipc_options *o = new_options();
  const gid_t groups[] = {65533};
  const char *argv[] = {"/bin/true", NULL};
  gipc_process *p = NULL;
  CHECK_OK(gipc_options_set_user(o, 65534, 65534, groups, 1));
  CHECK(fail_call(identity_calls[(intptr_t)argument], 0));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EPERM);
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EPERM);
  CHECK(p == NULL && !has_children());
  return 0;
}

static void a_drop_without_effect_starts_nothing(void **state) {
  if (geteuid() != 0)
    skip();
  for (int i = 0; i < 3; i++)
    in_own_fork(ignored_setuid, INT(i)); /* H118 */
}

struct identity {
  unsigned uid, gid;
  gid_t groups[3];
};

static int is_identity(struct ev_loop *fresh, void *argument) {
  const struct identity *wanted = argument;
  uid_t real, effective, saved;
  gid_t groups[8];
  CHECK_OK(getresuid(&real, &effective, &saved));
  CHECK(real == wanted->uid && effective == wanted->uid);
  CHECK(saved == wanted->uid);
  CHECK_OK(getresgid(&real, &effective, &saved));
  CHECK(real == wanted->gid && effective == wanted->gid);
  CHECK(saved == wanted->gid);
  CHECK_IS(getgroups(8, groups), 3);
  CHECK(memcmp(groups, wanted->groups, sizeof wanted->groups) == 0);
  return 0;
}

static void every_bit_of_an_id_is_used(void **state) {
  /* H118: in the low 16 bits many of them are root. */
  static const struct identity table[] = {
      {65535, 65535, {1, 2, 3}},
      {65536, 131072, {65534, 65535, 65536}},
      {65537, 65536, {5, 70000, 131072}},
      {4294967294u, 4294901760u, {0x10000, 0x7fffffff, 0xfffffffe}},
  };
  char text[256], expected[256];
  /* In a folder that every user can search. */
  const char *argv[] = {"/bin/sh", "-c", "id -u; id -g; id -G", NULL};
  if (geteuid() != 0)
    skip();
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    struct identity one = table[i];
    /* In any order. */
    const gid_t groups[] = {one.groups[2], one.groups[0], one.groups[1]};
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_set_user(o, one.uid, one.gid, groups, 3));
    CHECK_IS(in_child(is_identity, &one, o), 0);
    snprintf(expected, sizeof expected, "%u\n%u\n%u %u %u %u\n", one.uid,
             one.gid, one.gid, one.groups[0], one.groups[1], one.groups[2]);
    CHECK_IS(output_of(o, argv, text, sizeof text), 0);
    assert_string_equal(text, expected);
    gipc_options_free(o);
  }
  gipc_options *o = new_options();
  CHECK_IS(gipc_options_set_user(o, (uid_t)-1, 1, NULL, 0), -EINVAL);
  CHECK_IS(gipc_options_set_user(o, 1, (gid_t)-1, NULL, 0), -EINVAL);
  gipc_options_free(o);
}

static int no_new(struct ev_loop *fresh, void *argument) {
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void no_new_privileges_is_set_in_the_child_only(void **state) {
  /* H18 */
  char text[256];
  const char *argv[] = {PROGRAM("child_identity"), NULL};
  int own = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  if (portable())
    skip_because("the portable half has no such option");
  gipc_options *o = new_options();
  CHECK_IS(in_child(no_new, NULL, o), own);
  CHECK_OK(gipc_options_set_no_new_privileges(o, 1));
  CHECK_IS(in_child(no_new, NULL, o), 1);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strstr(text, "nnp 1\n") != NULL);
  CHECK_IS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), own);
  CHECK_OK(gipc_options_set_no_new_privileges(o, 0));
  CHECK_IS(in_child(no_new, NULL, o), own);
  gipc_options_free(o);
}

/* ---- Limits
 * ------------------------------------------------------------------ */

static int has_limits(struct ev_loop *fresh, void *argument) {
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_CORE, &limit));
  CHECK(limit.rlim_cur == 0 && limit.rlim_max == 0);
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
  CHECK(limit.rlim_cur == 100 && limit.rlim_max == 200);
  return 0;
}

static void limits_are_the_childs_alone(void **state) {
  not_under_valgrind();
  /* H17 */
  struct rlimit before, after;
  char text[64];
  const char *argv[] = {"sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c", NULL};
  gipc_options *o = new_options();
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &before));
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, 0));
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_NOFILE, 100, 200));
  CHECK_IS(in_child(has_limits, NULL, o), 0);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  assert_string_equal(text, "100\n200\n0\n");
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &after));
  CHECK(before.rlim_cur == after.rlim_cur && before.rlim_max == after.rlim_max);
  CHECK_IS(gipc_options_set_rlimit(o, -1, 1, 1), -EINVAL);
  CHECK_IS(gipc_options_set_rlimit(o, 10000, 1, 1), -EINVAL);
  CHECK_IS(gipc_options_set_rlimit(o, RLIMIT_CORE, 2, 1), -EINVAL);
  gipc_options_free(o);
}

static int has_big_limits(struct ev_loop *fresh, void *argument) {
  struct rlimit limit;
  CHECK_OK(getrlimit(RLIMIT_FSIZE, &limit));
  CHECK(limit.rlim_cur == (rlim_t)5 << 30 && limit.rlim_max == (rlim_t)6 << 30);
  CHECK_OK(getrlimit(RLIMIT_CPU, &limit));
  CHECK(limit.rlim_cur == RLIM_INFINITY && limit.rlim_max == RLIM_INFINITY);
  return 0;
}

static void a_limit_may_be_bigger_than_32_bits(void **state) {
  not_under_valgrind();
  char text[64];
  /* In units of 512 or 1,024 bytes, as the shell has it. */
  const char *argv[] = {"sh", "-c", "ulimit -Sf; ulimit -t", NULL};
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_FSIZE, 5ull << 30, 6ull << 30));
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CPU, UINT64_MAX, RLIM_INFINITY));
  CHECK_IS(in_child(has_big_limits, NULL, o), 0);
  CHECK_IS(output_of(o, argv, text, sizeof text), 0);
  CHECK(strcmp(text, "10485760\nunlimited\n") == 0 ||
        strcmp(text, "5242880\nunlimited\n") == 0);
  gipc_options_free(o);
}

static int burn(struct ev_loop *fresh, void *argument) {
  volatile unsigned long count = 0;
  while (count < (unsigned long)-1)
    count++;
  return 0;
}

static void a_limit_ends_a_child_that_exceeds_it(void **state) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CORE, 0, 0));
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_CPU, 1, 2));
  gipc_process *p = start(burn, NULL, o);
  CHECK_IS(info_of(p).signal, SIGXCPU);
  CHECK(info_of(p).user + info_of(p).system > 0.5);
  gipc_process_free(p);
  gipc_options_free(o);
}

static int beyond_the_limit(void *argument) {
  struct rlimit limit = {100, 100};
  gipc_options *o = new_options();
  const char *argv[] = {"/bin/true", NULL};
  gipc_process *p = NULL;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
  if (geteuid() == 0)
    CHECK_OK(setuid(65534));
  CHECK_OK(gipc_options_set_rlimit(o, RLIMIT_NOFILE, 100, 200));
  CHECK_IS(gipc_exec_process(argv, o, &p), -EPERM);
  CHECK_IS(gipc_start_process(return_argument, NULL, o, &p), -EPERM);
  CHECK(p == NULL && !has_children());
  return 0;
}

static void
a_limit_that_is_refused_is_an_error_of_the_start_call(void **state) {
  not_under_valgrind();
  in_own_fork(beyond_the_limit, NULL);
}

/* ---- Groups and sessions
 * ----------------------------------------------------- */

static int check_group(struct ev_loop *fresh, void *argument) {
  int mode = (int)(intptr_t)argument;
  CHECK((getpgrp() == getpid()) == (mode != GIPC_GROUP_INHERIT));
  CHECK((getsid(0) == getpid()) == (mode == GIPC_GROUP_SESSION));
  return 0;
}

static void a_child_has_the_group_and_session_that_was_asked_for(void **state) {
  for (int mode = GIPC_GROUP_INHERIT; mode <= GIPC_GROUP_SESSION; mode++) {
    gipc_options *o = new_options();
    CHECK_OK(gipc_options_set_group(o, mode));
    CHECK_IS(in_child(check_group, INT(mode), o), 0);
    gipc_process *p = execute(o, "sleep", "60", NULL);
    pid_t pid = gipc_process_pid(p);
    CHECK_IS(getpgid(pid), mode == GIPC_GROUP_INHERIT ? getpgrp() : pid);
    CHECK_IS(getsid(pid), mode == GIPC_GROUP_SESSION ? pid : getsid(0));
    destroy(p);
    gipc_options_free(o);
  }
  gipc_options *o = new_options();
  CHECK_IS(gipc_options_set_group(o, -1), -EINVAL);
  CHECK_IS(gipc_options_set_group(o, 4), -EINVAL);
  gipc_options_free(o);
}

static void a_group_may_be_killed_right_after_the_start(void **state) {
  /* H20 */
  for (size_t i = 0; i < many(1000, 60); i++) {
    gipc_options *o = new_options();
    CHECK_OK(
        gipc_options_set_group(o, i % 2 ? GIPC_GROUP_NEW : GIPC_GROUP_SESSION));
    gipc_process *p = i % 10 < 8 ? start(wait_for_signal, NULL, o)
                                 : execute(o, "sleep", "60", NULL);
    CHECK_OK(kill(-gipc_process_pid(p), SIGKILL));
    CHECK_IS(end_of(p), -SIGKILL);
    gipc_options_free(o);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_function_drops_its_user_permanently),
      TEST(a_program_drops_its_user_permanently),
      TEST(a_drop_that_fails_starts_nothing),
      TEST(each_step_of_a_drop_is_checked),
      TEST(a_drop_without_effect_starts_nothing),
      TEST(every_bit_of_an_id_is_used),
      TEST(no_new_privileges_is_set_in_the_child_only),
      TEST(limits_are_the_childs_alone),
      TEST(a_limit_may_be_bigger_than_32_bits),
      TEST(a_limit_ends_a_child_that_exceeds_it),
      TEST(a_limit_that_is_refused_is_an_error_of_the_start_call),
      TEST(a_child_has_the_group_and_session_that_was_asked_for),
      TEST(a_group_may_be_killed_right_after_the_start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
