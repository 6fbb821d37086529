/* A child that must end with all that it has started: stop reaches a process
 * that was forked twice, leads a session of its own and ignores SIGTERM. */
#include <err.h>
#include <gipc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* As daemons are started.  It has the descriptor of the child's pipe. */
static void start_daemon(void) {
  pid_t between;

  signal(SIGTERM, SIG_IGN);
  between = fork();
  if (between == 0) {
    setsid();
    if (fork() == 0)
      pause();
    _exit(0);
  }
  waitpid(between, NULL, 0);
  signal(SIGTERM, SIG_DFL);
}

static int work(struct ev_loop *fresh, void *writer) {
  (void)fresh;
  start_daemon();
  must(gipc_put(writer, "ready", 5, -1), "gipc_put");
  pause(); /* until it is stopped */
  return 0;
}

int main(void) {
  gipc_exit_info info = {.size = sizeof(info)};
  gipc_handle *reader, *writer;
  gipc_options *options;
  gipc_process *child;
  const void *data;
  size_t size;

  must(gipc_pipe(&reader, &writer), "gipc_pipe");
  must(gipc_options_new(&options), "gipc_options_new");
  must(gipc_options_pass(options, NULL, writer), "gipc_options_pass");
  must(gipc_options_set_group(options, GIPC_GROUP_TREE), "set_group");
  must(gipc_start_process(work, writer, options, &child), "start");
  gipc_options_free(options);
  gipc_handle_free(writer);

  must(gipc_get(reader, -1, &data, &size), "gipc_get");
  printf("%.*s\n", (int)size, (const char *)data);
  must(gipc_process_stop(child, 1.0), "gipc_process_stop");
  must(gipc_process_info(child, &info), "gipc_process_info");
  if (info.tree == GIPC_TREE_SESSION)
    errx(77, "this system finds no process outside the session");
  printf("the child ended by signal %d\n", info.signal);

  /* The last copy of the writer is closed. */
  if (gipc_get(reader, -1, &data, &size) == GIPC_EOF)
    printf("and all that it has started is gone\n");
  gipc_process_free(child);
  gipc_handle_free(reader);
  return 0;
}
