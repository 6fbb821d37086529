/* Reads from several children, whichever has a message, and sees how each
 * ends. */
#include <err.h>
#include <gipc.h>
#include <stdio.h>
#include <string.h>

typedef struct child {
  int number;
  gipc_handle *writer;
} child;

static int open_handles, running, sum, codes;

static int must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
  return result;
}

static int count(struct ev_loop *fresh, void *argument) {
  const child *c = argument;

  (void)fresh;
  for (int multiple = 0; multiple < 3; multiple++) {
    int number = multiple * c->number;
    must(gipc_put(c->writer, &number, sizeof(number), -1), "gipc_put");
  }
  return c->number;
}

static void start(gipc_wait_set *set, int number) {
  child c = {.number = number};
  gipc_handle *reader;
  gipc_process *process;
  gipc_options *options;

  must(gipc_pipe(&reader, &c.writer), "gipc_pipe");
  must(gipc_options_new(&options), "gipc_options_new");
  must(gipc_options_pass(options, NULL, c.writer), "gipc_options_pass");
  must(gipc_start_process(count, &c, options, &process), "start");
  gipc_options_free(options);
  gipc_handle_free(c.writer); /* it has moved into the child */
  must(gipc_wait_set_add_handle(set, reader, GIPC_READ), "add_handle");
  must(gipc_wait_set_add_process(set, process), "add_process");
  open_handles++;
  running++;
}

static void read_from(gipc_handle *reader) {
  const void *data;
  size_t size;
  int number, result;

  while ((result = gipc_try_get(reader, &data, &size)) == 0) {
    memcpy(&number, data, sizeof(number));
    sum += number;
  }
  if (result == GIPC_EOF) {   /* before or after the end of the process */
    gipc_handle_free(reader); /* also leaves the set */
    open_handles--;
  }
}

static void see_end_of(gipc_process *process) {
  int code;

  must(gipc_process_exitcode(process, &code), "gipc_process_exitcode");
  codes += code;
  gipc_process_free(process);
  running--;
}

int main(void) {
  gipc_wait_set *set;
  gipc_handle *reader;
  gipc_process *process;
  int directions;

  must(gipc_wait_set_new(&set), "gipc_wait_set_new");
  start(set, 1);
  start(set, 10);
  start(set, 100);
  while (open_handles > 0 || running > 0) {
    must(gipc_wait(set, -1), "gipc_wait");
    while (gipc_wait_set_next(set, &reader, &process, &directions) == 0) {
      if (process != NULL)
        see_end_of(process);
      else
        read_from(reader);
    }
  }
  gipc_wait_set_free(set);
  printf("%d\n%d\n", sum, codes);
  return 0;
}
