/* Uses the library as a plug-in: never linked with it, only dlopen(3)ed.
 *   dlopen LIBRARY SYMBOL... */
#include <dlfcn.h>
#include <gipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("line %d: %s\n", __LINE__, #condition);                           \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

/* The type comes from the header, so that the two cannot differ. */
#define FIND(name)                                                             \
  __typeof__(&name) p_##name = (__typeof__(&name))find(library, #name)

static void *find(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  if (!symbol)
    printf("no symbol %s\n", name);
  CHECK(symbol);
  return symbol;
}

static void *open_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    printf("%s\n", dlerror());
  CHECK(library);
  return library;
}

static int seven(struct ev_loop *fresh, void *argument) {
  return fresh ? *(int *)argument : 1;
}

static void use(void *library) {
  FIND(gipc_pipe);
  FIND(gipc_put);
  FIND(gipc_get);
  FIND(gipc_handle_free);
  FIND(gipc_exec_process);
  FIND(gipc_start_process);
  FIND(gipc_process_join);
  FIND(gipc_process_exitcode);
  FIND(gipc_process_free);
  const char *const argv[] = {"true", NULL};
  gipc_handle *reader, *writer;
  gipc_process *p;
  const void *data;
  size_t size;
  int code, result = 7;

  CHECK(p_gipc_pipe(&reader, &writer) == 0);
  CHECK(p_gipc_put(writer, "hello", 5, 10) == 0);
  CHECK(p_gipc_get(reader, 10, &data, &size) == 0);
  CHECK(size == 5 && memcmp(data, "hello", 5) == 0);
  p_gipc_handle_free(writer);
  p_gipc_handle_free(reader);

  CHECK(p_gipc_exec_process(argv, NULL, &p) == 0);
  CHECK(p_gipc_process_join(p, 60) == 0);
  CHECK(p_gipc_process_exitcode(p, &code) == 0 && code == 0);
  p_gipc_process_free(p);

  CHECK(p_gipc_start_process(seven, &result, NULL, &p) == 0);
  CHECK(p_gipc_process_join(p, 60) == 0);
  CHECK(p_gipc_process_exitcode(p, &code) == 0 && code == 7);
  p_gipc_process_free(p);
}

/* Handlers that outlive their code would crash here. */
static void forking_still_works(void) {
  int status;
  pid_t pid = fork();
  if (pid == 0)
    _exit(0);
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static long lines_of(const char *path) {
  FILE *file = fopen(path, "r");
  long lines = 0;
  int c;
  CHECK(file);
  while ((c = getc(file)) != EOF)
    lines += c == '\n';
  fclose(file);
  return lines;
}

static long resident_pages(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long size, resident = 0;
  CHECK(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
  fclose(file);
  return resident;
}

int main(int argc, char **argv) {
  void *library;
  long maps = 0, pages = 0;
  int i;
  CHECK(argc > 2);
  library = open_library(argv[1]);
  for (i = 2; i < argc; i++)
    find(library, argv[i]);
  use(library);
  CHECK(dlclose(library) == 0);
  forking_still_works();

  for (i = 0; i < 1050; i++) {
    gipc_handle *reader, *writer;
    library = open_library(argv[1]);
    FIND(gipc_pipe);
    FIND(gipc_handle_free);
    CHECK(p_gipc_pipe(&reader, &writer) == 0);
    p_gipc_handle_free(reader);
    p_gipc_handle_free(writer);
    CHECK(dlclose(library) == 0);
    if (i == 50) {
      maps = lines_of("/proc/self/maps");
      pages = resident_pages();
    }
  }
  forking_still_works();
  /* Less than one mapping in all, less than one page in ten rounds. */
  CHECK(lines_of("/proc/self/maps") <= maps);
  CHECK(resident_pages() < pages + 100);
  return 0;
}
