/* A user of the installed library, in the common part of C and C++: one message
 * through a pipe and one child. */
#include <gipc.h>
#include <stdio.h>
#include <string.h>

static int check(int ok, const char *what) {
  if (!ok)
    printf("failed: %s\n", what);
  return ok;
}

int main(int argc, char **argv) {
  const char *const child[] = {"true", NULL};
  gipc_handle *reader, *writer;
  gipc_process *process;
  const void *data;
  char version[32];
  size_t size;
  int code, v = gipc_version();
  sprintf(version, "%d.%d.%d", v >> 16, v >> 8 & 255, v & 255);
  if (!check(argc == 2 && strcmp(argv[1], version) == 0, "version") ||
      !check(gipc_pipe(&reader, &writer) == 0, "pipe") ||
      !check(gipc_put(writer, "hello", 5, 10) == 0, "put") ||
      !check(gipc_get(reader, 10, &data, &size) == 0, "get") ||
      !check(size == 5 && memcmp(data, "hello", 5) == 0, "message") ||
      !check(gipc_exec_process(child, NULL, &process) == 0, "exec") ||
      !check(gipc_process_join(process, 60) == 0, "join") ||
      !check(gipc_process_exitcode(process, &code) == 0, "status") ||
      !check(code == 0, "exit code"))
    return 1;
  gipc_process_free(process);
  gipc_handle_free(writer);
  gipc_handle_free(reader);
  return 0;
}
