/* Trees where a kernel, a sandbox or a mount lacks what they are made with. */
#include "support_tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What is refused, and the ways that are expected then: where a cgroup can be
 * had without it, and where none can be had. */
struct lack {
  const char *name;
  bool (*refuse)(int error);
  int error;
  int way, way_without;
};

static int best; /* of this machine, and this build */

static void expect_whole(struct tree *it, int way) {
  gipc_exit_info info = info_of(it->p);
  CHECK_IS(info.tree, way);
  CHECK_IS(info.signal, SIGTERM);
  CHECK(way == GIPC_TREE_SESSION || info.killed >= 1);
  tree_is_gone(it);
  gipc_process_free(it->p);
}

static void expect_in_cgroup(pid_t root, bool expected) {
  char path[64], text[4096], own[4096];
  snprintf(path, sizeof path, "/proc/%d/cgroup", (int)root);
  read_file(path, text, sizeof text);
  read_file("/proc/self/cgroup", own, sizeof own);
  CHECK_IS(strcmp(text, own) != 0, expected);
}

static int live_without(void *argument) {
  const struct lack *lack = argument;
  int way = best == GIPC_TREE_CGROUP      ? lack->way
            : best == GIPC_TREE_SUBREAPER ? lack->way_without
                                          : GIPC_TREE_SESSION;
  if (way == GIPC_TREE_SESSION)
    adopt_what_is_left();
  if (!lack->refuse(lack->error)) {
    fprintf(stderr, "[ NOTE     ] %s cannot be refused here\n", lack->name);
    return 0;
  }
  int fds = count_fds();
  for (int program = 0; program < 2; program++) {
    struct tree it = start_tree(program, -1, NULL);
    expect_in_cgroup(gipc_process_pid(it.p), way == GIPC_TREE_CGROUP);
    CHECK_OK(gipc_process_stop(it.p, 30));
    expect_whole(&it, way);
    it = start_tree(program, -1, NULL);
    CHECK_OK(gipc_process_signal_group(it.p, 0));
    CHECK_OK(gipc_process_stop_group(it.p, 30));
    expect_whole(&it, way);
  }
  CHECK_IS(count_fds(), fds);
  CHECK(!has_children());
  CHECK_IS(count_cgroups(getpid()), 0);
  return 0;
}

static void live(const struct lack *lacks, size_t count) {
  if (best == 0)
    best = way_of_a_tree();
  for (size_t i = 0; i < count; i++) {
    struct lack lack = lacks[i];
    fflush(NULL);
    pid_t pid = child_start(live_without, &lack);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
    if (status != 0)
      print_error("%s: status %#x\n", lack.name, (unsigned)status);
    CHECK_IS(status, 0);
  }
}

#define LIVE(lacks) live((lacks), sizeof(lacks) / sizeof *(lacks))

/* ---- Cgroups ------------------------------------------------------------ */

static bool refuse_flock(int error) { return fail_call(SYS_flock, error); }

static bool refuse_access(int error) {
#ifdef SYS_access
  if (!fail_call(SYS_access, error))
    return false;
#endif
  return fail_call(SYS_faccessat, error);
}

static bool refuse_clone3(int error) {
  /* A thread could not be made in the other ways of this test. */
  return fail_call(SYS_clone3, error);
}

static bool refuse_rmdir(int error) {
  return fail_call_with_bits(SYS_unlinkat, 2, 0x200, error);
}

static void a_cgroup_that_is_refused_is_done_without(void **state) {
  static const struct lack lacks[] = {
      {"mkdir EROFS", fail_mkdir, EROFS, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
      {"mkdir EACCES", fail_mkdir, EACCES, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
      {"mkdir EPERM", fail_mkdir, EPERM, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
      {"flock ENOSYS", refuse_flock, ENOSYS, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
      /* Linux before 5.14 has no cgroup.kill. */
      {"access ENOENT", refuse_access, ENOENT, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
  };
  LIVE(lacks);
}

static void a_root_enters_its_cgroup_without_clone3(void **state) {
  static const struct lack lacks[] = {
      {"clone3 ENOSYS", refuse_clone3, ENOSYS, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
      {"clone3 EPERM", refuse_clone3, EPERM, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
      {"unlinkat EPERM", refuse_rmdir, EPERM, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
  };
  LIVE(lacks);
}

/* ---- Mounts ------------------------------------------------------------- */

static bool own_mounts(void) {
  return unshare(CLONE_NEWNS) == 0 &&
         mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool find_mount(char place[256]) {
  char mounts[20000];
  read_file("/proc/mounts", mounts, sizeof mounts);
  char *type = strstr(mounts, " cgroup2 ");
  if (type == NULL)
    return false;
  while (type > mounts && type[-1] != '\n')
    type--;
  return sscanf(type, "%*s %255s", place) == 1;
}

static bool unmount_cgroups(int error) {
  char place[256];
  return own_mounts() && find_mount(place) && umount2(place, MNT_DETACH) == 0;
}

static bool mount_cgroups_read_only(int error) {
  char place[256];
  return own_mounts() && find_mount(place) &&
         mount(place, place, NULL, MS_BIND, NULL) == 0 &&
         mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0;
}

static bool unmount_proc(int error) {
  return own_mounts() && umount2("/proc", MNT_DETACH) == 0;
}

static void trees_are_made_where_cgroups_are_not_mounted(void **state) {
  not_under_valgrind();
  static const struct lack lacks[] = {
      {"mount", unmount_cgroups, 0, GIPC_TREE_SUBREAPER, GIPC_TREE_SUBREAPER},
      {"writing", mount_cgroups_read_only, 0, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
  };
  LIVE(lacks);
}

static int live_in_a_session(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  gipc_process *p = start(wait_for_signal, NULL, o);
  gipc_options_free(o);
  CHECK_OK(gipc_process_signal_group(p, SIGUSR1));
  gipc_exit_info info = info_of(p);
  CHECK_IS(info.tree, GIPC_TREE_SESSION);
  CHECK_IS(info.signal, SIGUSR1);
  gipc_process_free(p);
  return 0;
}

/* Its tests cannot look around, either. */
static int live_without_proc(void *argument) {
  if (!unmount_proc(0)) {
    fprintf(stderr, "[ NOTE     ] /proc cannot be unmounted here\n");
    return 0;
  }
  return live_in_a_session(NULL);
}

static void a_tree_is_a_session_without_proc(void **state) {
  not_under_valgrind();
  in_own_fork(live_without_proc, NULL);
}

/* As after `unshare --pid`: a number in /proc is another process here, which
 * must not be killed for it. */
static int live_with_foreign_proc(void *argument) {
  if (unshare(CLONE_NEWPID) < 0) {
    fprintf(stderr, "[ NOTE     ] no namespace of process IDs here\n");
    return 0;
  }
  in_own_fork(live_in_a_session, NULL);
  return 0;
}

static void
a_tree_is_a_session_where_proc_is_of_another_namespace(void **state) {
  not_under_valgrind();
  in_own_fork(live_with_foreign_proc, NULL);
}

/* ---- Old kernels -------------------------------------------------------- */

static bool refuse_subreaper(int error) {
  return fail_call_with(SYS_prctl, 0, PR_SET_CHILD_SUBREAPER, error);
}

static bool refuse_death_signal(int error) {
  return fail_call_with(SYS_prctl, 0, PR_SET_PDEATHSIG, error);
}

static bool refuse_pidfd_open(int error) {
  return fail_call(SYS_pidfd_open, error);
}

static bool refuse_pidfd_signal(int error) {
  return fail_call(SYS_pidfd_send_signal, error);
}

static bool refuse_all(int error) {
  return refuse_pidfd_open(error) && refuse_clone3(error) &&
         fail_pidfd_info() && fail_mkdir(error);
}

static void trees_are_made_by_old_kernels(void **state) {
  static const struct lack lacks[] = {
      {"subreaper EINVAL", refuse_subreaper, EINVAL, GIPC_TREE_CGROUP,
       GIPC_TREE_SESSION},
      {"death signal EPERM", refuse_death_signal, EPERM, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
      {"pidfd_open ENOSYS", refuse_pidfd_open, ENOSYS, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
      {"pidfd_open EMFILE", refuse_pidfd_open, EMFILE, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
      {"pidfd_send_signal EPERM", refuse_pidfd_signal, EPERM, GIPC_TREE_CGROUP,
       GIPC_TREE_SUBREAPER},
      {"all ENOSYS", refuse_all, ENOSYS, GIPC_TREE_SUBREAPER,
       GIPC_TREE_SUBREAPER},
  };
  LIVE(lacks);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_cgroup_that_is_refused_is_done_without),
      TEST(a_root_enters_its_cgroup_without_clone3),
      TEST(trees_are_made_where_cgroups_are_not_mounted),
      TEST(a_tree_is_a_session_without_proc),
      TEST(a_tree_is_a_session_where_proc_is_of_another_namespace),
      TEST(trees_are_made_by_old_kernels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
