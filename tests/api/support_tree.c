/* Used by the tests of trees; see support_tree.h. */
#include "support_tree.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

int escape(struct ev_loop *fresh, void *argument) {
  int code = (int)(intptr_t)argument;
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      signal(SIGTERM, SIG_IGN);
      CHECK(write(1, "x", 1) == 1);
      for (;;)
        pause();
    }
    _exit(0);
  }
  CHECK(write(1, "x", 1) == 1);
  return code >= 0 ? code : wait_for_signal(fresh, NULL);
}

gipc_options *tree_options(void) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  CHECK_OK(gipc_options_set_stdio(o, 1, GIPC_STDIO_PIPE, -1));
  return o;
}

struct tree start_tree(bool program, int exit_code, const gipc_options *o) {
  struct tree it;
  char code[16], bytes[2];
  gipc_options *own = o == NULL ? tree_options() : NULL;
  snprintf(code, sizeof code, "%d", exit_code);
  const gipc_options *used = o == NULL ? own : o;
  it.p = !program ? start(escape, INT(exit_code), used)
                  : execute(used, PROGRAM("child_tree"),
                            exit_code < 0 ? NULL : code, NULL);
  gipc_options_free(own);
  it.alive = gipc_process_stdio(it.p, 1);
  /* The end of the root may be faster than the one that escapes. */
  CHECK(read_all(it.alive, bytes, exit_code < 0 ? 2 : 1));
  return it;
}

void adopt_what_is_left(void) {
  CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

void end_children(void) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  while (has_children()) {
    read_file(path, text, sizeof text);
    for (char *at = text; *at != '\0' && *at != '\n'; at++)
      kill((pid_t)strtol(at, &at, 10), SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
  }
}

void tree_is_gone(struct tree *it) {
  char byte;
  long size;
  gipc_exit_info info = info_of(it->p);
  if (info.tree == GIPC_TREE_SESSION)
    end_children();
  while ((size = (long)read(it->alive, &byte, 1)) > 0)
    ;
  CHECK_IS(size, 0);
  close(it->alive);
}

/* ---- Cgroups ------------------------------------------------------------ */

static bool find_cgroup(char path[600]) {
  char mounts[20000], own[4096], place[256];
  read_file("/proc/mounts", mounts, sizeof mounts);
  read_file("/proc/self/cgroup", own, sizeof own);
  char *type = strstr(mounts, " cgroup2 "), *name = strstr(own, "0::/");
  if (type == NULL || name == NULL)
    return false;
  while (type > mounts && type[-1] != '\n')
    type--;
  name[strcspn(name, "\n")] = '\0';
  return sscanf(type, "%*s %255s", place) == 1 &&
         snprintf(path, 600, "%s%.300s", place, name + 3) < 600;
}

static double loaded; /* when, in real time */

__attribute__((constructor)) static void note_the_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  loaded = (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Of an earlier process with the same number one may be left. */
static int count_of_maker(pid_t maker, int (*is_counted)(const char *path)) {
  char path[600], prefix[32], one[1000];
  struct dirent *entry;
  int count = 0;
  if (!find_cgroup(path))
    return 0;
  DIR *directory = opendir(path);
  if (directory == NULL)
    return 0;
  snprintf(prefix, sizeof prefix, "gipc-%d-", (int)maker);
  while ((entry = readdir(directory)) != NULL)
    if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
        atof(entry->d_name + strlen(prefix)) >= loaded) {
      snprintf(one, sizeof one, "%s/%s", path, entry->d_name);
      count += is_counted(one);
    }
  closedir(directory);
  return count;
}

static int is_there(const char *path) { return path[0] != '\0'; }

int count_cgroups(pid_t maker) { return count_of_maker(maker, is_there); }

static int is_removed(const char *path) { return rmdir(path) == 0; }

int remove_cgroups(pid_t maker) { return count_of_maker(maker, is_removed); }

/* ---- Ways --------------------------------------------------------------- */

bool fail_mkdir(int error) {
  bool done = fail_call(SYS_mkdirat, error);
#ifdef SYS_mkdir
  done = done && fail_call(SYS_mkdir, error);
#endif
  return done;
}

int way_of_a_tree(void) {
  gipc_options *o = new_options();
  CHECK_OK(gipc_options_set_group(o, GIPC_GROUP_TREE));
  gipc_process *p = execute(o, "true", NULL);
  gipc_options_free(o);
  gipc_exit_info info = info_of(p);
  gipc_process_free(p);
  return info.tree;
}

int tested_way;

bool only_way(int way) {
  tested_way = way;
  /* A call that cannot be refused may be one that fails here in any case. */
  if (way >= GIPC_TREE_SUBREAPER)
    (void)fail_mkdir(EROFS);
  if (way >= GIPC_TREE_SESSION) {
    adopt_what_is_left();
    (void)fail_call_with(SYS_prctl, 0, PR_SET_CHILD_SUBREAPER, EPERM);
  }
  return way_of_a_tree() == way;
}

struct in_way {
  int way;
  int (*body)(void *argument);
  void *argument;
};

static int run_in_way(void *argument) {
  struct in_way *it = argument;
  if (!only_way(it->way)) {
    fprintf(stderr, "[ NOTE     ] way %d of trees cannot be had here\n",
            it->way);
    return 0;
  }
  CHECK_OK(it->body(it->argument));
  CHECK(!has_children());
  CHECK_IS(count_cgroups(getpid()), 0);
  return 0;
}

void in_each_way(int (*body)(void *argument), void *argument) {
  for (int way = GIPC_TREE_CGROUP; way <= GIPC_TREE_SESSION; way++) {
    struct in_way it = {way, body, argument};
    in_own_fork(run_in_way, &it);
  }
}
