/* Which world this is, its proof, its report, and the tests that mean nothing
 * in it. */
#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum world world;
atomic_ulong acted;
static pid_t first_pid;

void *next_function(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL)
    abort();
  return found;
}

/* ---- Where a call comes from -------------------------------------------- */

static uintptr_t library_start, library_end;

static int look(struct dl_phdr_info *info, size_t size, void *user) {
  const char *name = strrchr(info->dlpi_name, '/');
  if (name == NULL || strncmp(name, "/libgipc.", 9) != 0)
    return 0;
  library_start = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_LOAD)
      library_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
                    info->dlpi_phdr[i].p_memsz;
  return 1;
}

/* An interpreter loads the library long after its beginning. */
void *dlopen(const char *path, int flags) {
  void *result = NEXT(dlopen)(path, flags);
  if (library_end == 0)
    dl_iterate_phdr(look, NULL);
  return result;
}

bool of_library(const void *address) {
  return (uintptr_t)address >= library_start &&
         (uintptr_t)address < library_end;
}

/* ---- Tests that mean nothing here --------------------------------------- */

/* Text of lines "pattern TAB reason". */
static char *skips;

static void skip_here(void **state) {
  NEXT(print_message)("skipped: %s\n", (char *)*state);
  NEXT(_skip)(__FILE__, __LINE__);
}

/* The reason, or NULL. */
static char *reason_of(const char *test) {
  for (char *line = skips; line != NULL && *line != '\0';) {
    char *tab = line + strlen(line) + 1;
    if (strcmp(line, test) == 0)
      return tab;
    line = tab + strlen(tab) + 1;
  }
  return NULL;
}

/* cmocka runs these instead of tests that mean nothing in this world. */
int _cmocka_run_group_tests(const char *name,
                            const struct CMUnitTest *const tests,
                            const size_t count, CMFixtureFunction setup,
                            CMFixtureFunction teardown) {
  struct CMUnitTest *own = malloc(count * sizeof *own);
  memcpy(own, tests, count * sizeof *own);
  for (size_t i = 0; i < count; i++) {
    char *reason = reason_of(tests[i].name);
    if (reason != NULL)
      own[i] =
          (struct CMUnitTest){tests[i].name, skip_here, NULL, NULL, reason};
  }
  int result = NEXT(_cmocka_run_group_tests)(name, own, count, setup, teardown);
  free(own);
  return result;
}

static void read_skips(void) {
  const char *path = getenv("GIPC_WORLD_SKIPS");
  int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
  if (size > 0) {
    skips = calloc(1, (size_t)size + 2);
    if (pread(fd, skips, (size_t)size, 0) != size)
      abort();
    for (char *c = skips; c < skips + size; c++)
      if (*c == '\t' || *c == '\n')
        *c = '\0';
  }
  if (fd >= 0)
    close(fd);
}

/* ---- Beginning and end -------------------------------------------------- */

/* Standard streams are closed in some worlds, and tests print. */
static void keep_output(void) {
  const char *number = getenv("GIPC_WORLD_OUTPUT");
  int fd = number != NULL ? atoi(number) : -1;
  if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    return;
  FILE *file = fdopen(fd, "w");
  setvbuf(file, NULL, _IOLBF, 0);
  stdout = stderr = file;
}

__attribute__((constructor)) static void begin(void) {
  static const char *const names[] = {"",      "reaper", "storm", "narrow",
                                      "bytes", "pieces", "hammer"};
  const char *name = getenv("GIPC_WORLD");
  /* A program that a test starts is as it always is. */
  unsetenv("LD_PRELOAD");
  first_pid = getpid();
  for (int i = 1; name != NULL && i <= world_hammer; i++)
    if (strcmp(names[i], name) == 0)
      world = (enum world)i;
  dl_iterate_phdr(look, NULL);
  read_skips();
  keep_output();
  if (world == world_reaper)
    start_reaper();
  if (world == world_storm)
    start_storm();
  if (world == world_hammer)
    start_hammers();
  if (world == world_narrow)
    show_narrow();
}

__attribute__((destructor)) static void report(void) {
  const char *path = getenv("GIPC_WORLD_REPORT");
  char text[32];
  if (getpid() != first_pid || world == world_other || path == NULL)
    return;
  int size = snprintf(text, sizeof text, "%lu\n", atomic_load(&acted));
  int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd >= 0 && write(fd, text, (size_t)size) < 0)
    abort();
  if (fd >= 0)
    close(fd);
}
