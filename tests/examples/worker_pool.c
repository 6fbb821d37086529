/* Three workers share a hundred tasks: a worker that has answered gets the next
 * one. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORKERS = 3, TASKS = 100 };

static uint64_t next = 1, sum; /* task n: the sum of the squares below n */
static int ended;

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* Both ends are this program, so numbers go as they are in memory; a message
 * need not be aligned. */
static uint64_t number_in(const void *data, size_t size) {
  uint64_t number;

  if (size != sizeof(number))
    errx(1, "not a number");
  memcpy(&number, data, sizeof(number));
  return number;
}

static int work(struct ev_loop *fresh, void *pipe) {
  const void *data;
  size_t size;

  (void)fresh;
  while (gipc_get(pipe, -1, &data, &size) == 0) {
    uint64_t n = number_in(data, size), squares = 0;

    for (uint64_t i = 0; i < n; i++)
      squares += i * i;
    must(gipc_put(pipe, &squares, sizeof(squares), -1), "gipc_put");
  }
  return 0;
}

static void give_work(gipc_handle *worker) {
  if (next <= TASKS)
    must(gipc_try_put(worker, &next, sizeof(next)), "gipc_try_put");
  else
    must(gipc_shutdown(worker), "gipc_shutdown");
  next++;
}

static void on_message(gipc_handle *worker, const void *data, size_t size,
                       void *user) {
  (void)user;
  sum += number_in(data, size);
  give_work(worker);
}

static void on_end(gipc_handle *worker, int why, void *user) {
  (void)user;
  if (why != GIPC_EOF)
    errx(1, "a worker: %s", gipc_strerror(why));
  gipc_handle_free(worker);
}

static void on_exit_of(gipc_process *worker, void *user) {
  int code;

  (void)user;
  must(gipc_process_exitcode(worker, &code), "gipc_process_exitcode");
  ended += code == 0;
  gipc_process_free(worker);
}

static void start_worker(struct ev_loop *loop) {
  static const gipc_events events = {sizeof(events), on_message, NULL, on_end};
  gipc_handle *parent_end, *child_end;
  gipc_options *options;
  gipc_process *worker;

  must(gipc_pipe_duplex(&parent_end, &child_end), "gipc_pipe_duplex");
  must(gipc_options_new(&options), "gipc_options_new");
  must(gipc_options_pass(options, NULL, child_end), "gipc_options_pass");
  must(gipc_options_set_daemon(options, 1), "gipc_options_set_daemon");
  must(gipc_start_process(work, child_end, options, &worker), "start");
  gipc_options_free(options);
  gipc_handle_free(child_end);
  must(gipc_start(parent_end, loop, &events, NULL), "gipc_start");
  must(gipc_process_watch(worker, loop, on_exit_of, NULL), "watch");
  give_work(parent_end);
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);

  for (int i = 0; i < WORKERS; i++)
    start_worker(loop);
  ev_run(loop, 0); /* until all of them have gone */
  printf("%d workers\n%" PRIu64 "\n", ended, sum);
  return 0;
}
