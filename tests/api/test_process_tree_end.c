/* Trees whose parent or guard is killed, that fork all the time, or whose
 * numbers other processes get. */
#include "support_tree.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

static pid_t parent_of(pid_t pid) {
  char path[64], text[512];
  int parent = -1;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  read_file(path, text, sizeof text);
  char *end = strrchr(text, ')');
  CHECK(end != NULL && sscanf(end, ") %*c %d", &parent) == 1);
  return parent;
}

/* ---- The parent is killed ----------------------------------------------- */

struct life {
  int pipe[2];
  bool program;
  int signal; /* 0: no daemon */
};

/* A parent that waits, and holds the writing end of the pipe, too. */
static int live(void *argument) {
  struct life *life = argument;
  gipc_options *o = new_options();
  CHECK_OK(setpgid(0, 0));
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_FD, life->pipe[1]));
  if (life->signal != 0)
    CHECK_OK(gipc_options_set_death_signal(o, life->signal));
  gipc_process *p = life->program ? execute(o, PROGRAM("child_tree"), NULL)
                                  : start(escape, INT(-1), o);
  pid_t pid = gipc_process_pid(p);
  char message[1 + sizeof pid] = "p"; /* at once: others write, too */
  memcpy(message + 1, &pid, sizeof pid);
  CHECK(write_all(life->pipe[1], message, sizeof message));
  return wait_for_signal(NULL, NULL);
}

/* The process ID of the root, which comes after a 'p', among bytes 'x'. */
static pid_t read_root(int fd) {
  pid_t pid = -1;
  int others = 0;
  for (char byte = 'x'; pid < 0 || others < 2;) {
    CHECK(read_all(fd, &byte, 1));
    if (byte == 'p')
      CHECK(read_all(fd, &pid, sizeof pid));
    else
      others++;
  }
  return pid;
}

static pid_t begin_life(struct life *life, pid_t *root) {
  CHECK_OK(pipe2(life->pipe, O_CLOEXEC));
  fflush(NULL);
  pid_t parent = child_start(live, life);
  close(life->pipe[1]);
  *root = read_root(life->pipe[0]);
  return parent;
}

/* With all of its group, to which the tree does not belong. */
static void end_life(pid_t parent) {
  int status;
  CHECK_OK(kill(-parent, SIGKILL));
  CHECK_IS(waitpid(parent, &status, 0), parent);
}

static void no_cgroup_is_left(pid_t maker) {
  double end = now() + 60;
  while (count_cgroups(maker) != 0) {
    CHECK(now() < end);
    sched_yield();
  }
}

static int die(void *argument) {
  /* Of a process group the root alone is sure to end. */
  bool whole = tested_way != GIPC_TREE_SESSION;
  for (int i = 0; i < 4; i++) {
    struct life life = {.program = i % 2 == 1,
                        .signal = i / 2 ? SIGTERM : SIGKILL};
    pid_t root, parent = begin_life(&life, &root);
    end_life(parent);
    CHECK(gone_within(root, 60));
    if (whole)
      CHECK_IS((long)read(life.pipe[0], &root, 1), 0);
    else
      end_children();
    close(life.pipe[0]);
    no_cgroup_is_left(parent);
  }
  return 0;
}

static void a_daemon_tree_ends_with_a_parent_that_was_killed(void **state) {
  in_each_way(die, NULL);
}

static int outlive(void *argument) {
  struct life life = {.program = true};
  pid_t root, parent = begin_life(&life, &root);
  end_life(parent);
  /* What never comes can only be waited for in vain. */
  CHECK(!gone_within(root, 0.02));
  /* Its guard still ends what it leaves. */
  CHECK_OK(kill(root, SIGKILL));
  if (tested_way == GIPC_TREE_SESSION)
    end_children();
  CHECK_IS((long)read(life.pipe[0], &root, 1), 0);
  close(life.pipe[0]);
  no_cgroup_is_left(parent);
  return 0;
}

static void another_tree_outlives_its_parent(void **state) {
  in_each_way(outlive, NULL);
}

/* ---- The guard is killed ------------------------------------------------ */

static int lose_the_guard(void *argument) {
  for (int program = 0; program < 2; program++) {
    int fds = count_fds();
    struct tree it = start_tree(program, -1, NULL);
    pid_t root = gipc_process_pid(it.p);
    CHECK_OK(kill(parent_of(root), SIGKILL));
    if (!portable()) /* which has no signal for the death of a parent */
      CHECK(gone_within(root, 60));
    gipc_exit_info info = info_of(it.p);
    CHECK_IS(info.signal, SIGKILL);
    CHECK_IS(info.left, -1);
    CHECK_IS(info.killed, -1);
    CHECK_IS(gipc_process_kill(it.p), GIPC_EDEAD);
    CHECK_IS(gipc_process_signal_group(it.p, SIGTERM), GIPC_EDEAD);
    if (tested_way == GIPC_TREE_CGROUP)
      tree_is_gone(&it);
    else
      close(it.alive);
    gipc_process_free(it.p);
    CHECK_IS(count_fds(), fds);
  }
  return 0;
}

static int stop_the_guard(void *argument) {
  for (int i = 0; i < 4; i++) {
    struct tree it = start_tree(i % 2, -1, NULL);
    CHECK_OK(kill(parent_of(gipc_process_pid(it.p)), SIGSTOP));
    CHECK_OK(i / 2 ? gipc_process_stop(it.p, 0.05)
                   : gipc_process_stop_group(it.p, 0.05));
    tree_is_gone(&it);
    gipc_process_free(it.p);
  }
  return 0;
}

static int start_one_that_stops_it(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  for (int i = 0; i < 5; i++) {
    gipc_process *p =
        execute(o, "sh", "-c", "kill -STOP $PPID; exec sleep 60", NULL);
    CHECK_OK(gipc_process_kill(p));
    CHECK_IS(end_of(p), -SIGKILL);
  }
  gipc_options_free(o);
  return 0;
}

/* The portable fallback cannot be told of the end of a parent. */
static int stop_the_guard_and_die(void *argument) {
  if (portable() || tested_way == GIPC_TREE_SESSION)
    return 0;
  struct life life = {.program = true, .signal = SIGKILL};
  pid_t root, parent = begin_life(&life, &root);
  pid_t guard = parent_of(root);
  CHECK_OK(kill(guard, SIGSTOP));
  while (state_of(guard) != 'T')
    sched_yield();
  end_life(parent);
  CHECK_IS((long)read(life.pipe[0], &root, 1), 0);
  close(life.pipe[0]);
  no_cgroup_is_left(parent);
  return 0;
}

static void a_guard_that_was_stopped_ends_its_tree(void **state) {
  in_each_way(stop_the_guard, NULL);
  in_each_way(start_one_that_stops_it, NULL);
  in_each_way(stop_the_guard_and_die, NULL);
}

static int lose_the_guard_and_end_the_rest(void *argument) {
  if (tested_way != GIPC_TREE_SESSION)
    adopt_what_is_left(); /* else done already */
  CHECK_OK(lose_the_guard(NULL));
  end_children();
  return 0;
}

static void the_root_ends_with_its_guard_and_so_does_its_cgroup(void **state) {
  in_each_way(lose_the_guard_and_end_the_rest, NULL);
}

static int start_a_tree(void *argument) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_IS(end_of(execute(o, "true", NULL)), 0);
  gipc_options_free(o);
  return 0;
}

static int abandon(void *argument) {
  struct life life = {.program = true, .signal = SIGKILL};
  if (!only_way(GIPC_TREE_CGROUP))
    return 77;
  adopt_what_is_left();
  struct tree other = start_tree(true, -1, NULL);
  pid_t root, parent = begin_life(&life, &root);
  /* The parent must not see the end of the guard. */
  CHECK_OK(kill(parent, SIGSTOP));
  CHECK_OK(kill(parent_of(root), SIGKILL));
  end_life(parent);
  CHECK_IS(count_cgroups(parent), 1);
  /* The first tree of any process removes it, when the last has ended. */
  double end = now() + 60;
  do
    in_own_fork(start_a_tree, NULL);
  while (count_cgroups(parent) != 0 && now() < end);
  CHECK_IS(count_cgroups(parent), 0);
  CHECK_IS((long)read(life.pipe[0], &root, 1), 0);
  close(life.pipe[0]);
  /* One that has its guard is left alone. */
  CHECK_IS(gipc_process_is_alive(other.p), 1);
  CHECK_OK(gipc_process_kill(other.p));
  tree_is_gone(&other);
  CHECK_IS(end_of(other.p), -SIGKILL);
  end_children();
  return 0;
}

static void a_cgroup_that_was_abandoned_is_removed_later(void **state) {
  fflush(NULL);
  pid_t pid = child_start(abandon, NULL);
  int status;
  CHECK_IS(waitpid(pid, &status, 0), pid);
  if (status == 77 << 8)
    skip_because("no cgroup can be made here");
  CHECK_IS(status, 0);
}

/* In the first process of a namespace: all have the same number. */
static int note_cgroup(void *argument) {
  char path[64], *name = argument;
  if (mount("proc", "/proc", "proc", 0, NULL) < 0)
    return 0;
  struct tree it = start_tree(true, -1, NULL);
  snprintf(path, sizeof path, "/proc/%d/cgroup", (int)gipc_process_pid(it.p));
  read_file(path, name, 4096);
  CHECK_IS(getpid(), 1);
  CHECK_OK(gipc_process_kill(it.p));
  tree_is_gone(&it);
  gipc_process_free(it.p);
  return 0;
}

static int note_in_namespace(void *argument) {
  if (unshare(CLONE_NEWPID | CLONE_NEWNS) == 0 &&
      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
    in_own_fork(note_cgroup, argument);
  return 0;
}

/* Who had the name first would remove the cgroup of the other, or kill it. */
static void processes_with_the_same_number_name_cgroups_apart(void **state) {
  char *names = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(names != MAP_FAILED);
  for (int i = 0; i < 2; i++)
    in_own_fork(note_in_namespace, names + 4096 * i);
  bool are_made = strstr(names, "/gipc-1-") != NULL;
  bool differ = strcmp(names, names + 4096) != 0;
  munmap(names, 8192);
  if (!are_made)
    skip_because("no cgroup, or no namespace of process IDs here");
  CHECK(differ);
}

/* ---- Bombs -------------------------------------------------------------- */

static int explode(void *argument) {
  const char *count = slow() ? "20" : "200";
  const char *forks = "5000"; /* less than there are process IDs */
  if (tested_way == GIPC_TREE_SESSION)
    return 0; /* they are not in it */
  gipc_options *o = tree_options();
  struct tree it = {execute(o, PROGRAM("child_bomb"), count, forks, NULL), -1};
  gipc_options_free(o);
  char byte;
  it.alive = gipc_process_stdio(it.p, 1);
  CHECK(read_all(it.alive, &byte, 1));
  CHECK_OK(gipc_process_stop(it.p, 600));
  CHECK(info_of(it.p).killed > 0);
  tree_is_gone(&it);
  CHECK_IS(end_of(it.p), -SIGTERM);
  return 0;
}

static void processes_that_fork_all_the_time_are_ended(void **state) {
  in_each_way(explode, NULL);
}

/* ---- Others ------------------------------------------------------------- */

/* A child with this process ID, or -1. */
static pid_t fork_as(pid_t number) {
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal;
    uint64_t stack, stack_size, tls, set_tid, set_tid_size;
  } arguments = {.exit_signal = SIGCHLD,
                 .set_tid = (uint64_t)(uintptr_t)&number,
                 .set_tid_size = 1};
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) {
    setsid();
    for (;;)
      pause();
  }
  return pid;
}

static void expect_dead(gipc_process *p) {
  CHECK_IS(gipc_process_kill(p), GIPC_EDEAD);
  CHECK_IS(gipc_process_signal_group(p, SIGKILL), GIPC_EDEAD);
  CHECK_IS(gipc_process_signal_group(p, SIGUSR1), GIPC_EDEAD);
  CHECK_OK(gipc_process_stop(p, 0));
  CHECK_OK(gipc_process_stop_group(p, 0));
}

static int spare_others(void *argument) {
  gipc_process *brother = start(wait_for_signal, NULL, NULL);
  struct tree other = start_tree(false, -1, NULL);
  struct tree it = start_tree(true, -1, NULL);
  pid_t root = gipc_process_pid(it.p);
  CHECK_OK(gipc_process_stop(it.p, 30));
  pid_t stranger = fork_as(root);
  if (stranger < 0)
    fprintf(stderr, "[ NOTE     ] process IDs cannot be chosen here\n");
  expect_dead(it.p);
  if (stranger >= 0) {
    CHECK_IS(stranger, root);
    CHECK_OK(waitpid(stranger, NULL, WNOHANG));
    CHECK_OK(kill(stranger, SIGKILL));
    CHECK_IS(waitpid(stranger, NULL, 0), stranger);
  }
  CHECK_IS(gipc_process_is_alive(brother), 1);
  CHECK_IS(gipc_process_is_alive(other.p), 1);
  destroy(brother);
  CHECK_OK(gipc_process_kill(other.p));
  tree_is_gone(&other);
  tree_is_gone(&it);
  gipc_process_free(other.p);
  gipc_process_free(it.p);
  return 0;
}

static void other_processes_are_spared(void **state) {
  in_each_way(spare_others, NULL);
}

static int spare_without_pidfds(void *argument) {
  CHECK(fail_call(SYS_pidfd_open, ENOSYS));
  return spare_others(argument);
}

static void other_processes_are_spared_without_pidfds(void **state) {
  in_each_way(spare_without_pidfds, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_daemon_tree_ends_with_a_parent_that_was_killed),
      TEST(another_tree_outlives_its_parent),
      TEST(a_guard_that_was_stopped_ends_its_tree),
      TEST(the_root_ends_with_its_guard_and_so_does_its_cgroup),
      TEST(a_cgroup_that_was_abandoned_is_removed_later),
      TEST(processes_with_the_same_number_name_cgroups_apart),
      TEST(processes_that_fork_all_the_time_are_ended),
      TEST(other_processes_are_spared),
      TEST(other_processes_are_spared_without_pidfds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
