/* A listener gives each connection to one of two workers, which answers the
 * request.  The client is a child, so that the program ends. */
#define _GNU_SOURCE /* dprintf() and fdopen() */
#include <arpa/inet.h>
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 2, REQUESTS = 3 };

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* ---- The workers ---- */

/* A short request comes in one piece. */
static int answer(const gipc_worker_message *task, gipc_worker_message *result,
                  void *handle) {
  char request[1024], path[128];
  ssize_t size;
  int fd, count;

  (void)task;
  (void)result;
  count = gipc_take_fds(handle, &fd, 1);
  if (count < 0)
    return count; /* a failure of the task: there is no room, for example */
  size = read(fd, request, sizeof(request) - 1);
  request[size > 0 ? size : 0] = 0;
  if (sscanf(request, "GET %127s", path) == 1)
    dprintf(fd, "HTTP/1.0 200 OK\r\n\r\n%s is here\n", path);
  close(fd);
  return 0;
}

static int work(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  (void)fresh;
  (void)argument;
  return gipc_worker_serve(handle, answer, handle) == 0 ? 0 : 1;
}

/* ---- The client ---- */

static int ask(struct ev_loop *fresh, void *argument) {
  char text[1024];

  (void)fresh;
  for (int i = 1; i <= REQUESTS; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FILE *file;

    if (connect(fd, argument, sizeof(struct sockaddr_in)) != 0)
      err(1, "connect");
    dprintf(fd, "GET /%d HTTP/1.0\r\n\r\n", i);
    file = fdopen(fd, "r");
    while (fgets(text, sizeof(text), file) != NULL)
      ; /* the last line is the body */
    printf("%s", text);
    fclose(file);
  }
  return 0;
}

/* ---- The listener ---- */

static void on_connection(struct ev_loop *loop, ev_io *listener, int events) {
  gipc_pool *pool = listener->data;
  int fd = accept(listener->fd, NULL, NULL);
  uint64_t task;
  int result;

  (void)loop;
  (void)events;
  if (fd < 0)
    return;
  result = gipc_pool_try_put_with(pool, NULL, 0, &fd, 1, NULL, &task);
  if (result <
      0) /* too many wait: this client sees the end of its connection */
    warnx("gipc_pool_try_put_with: %s", gipc_strerror(result));
  close(fd); /* the task has a duplicate */
}

static void on_result(gipc_pool *pool, const gipc_result *result, void *user) {
  static int answered;
  ev_io *listener = user;

  if (result->why != GIPC_WHY_DONE)
    warnx("task %d: %.*s", (int)result->task, (int)result->text.size,
          result->text.data);
  if (++answered == REQUESTS) {
    ev_io_stop(ev_default_loop(0), listener);
    must(gipc_pool_stop(pool, -1), "gipc_pool_stop");
  }
}

int main(void) {
  struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(address);
  const gipc_rules rules = {.size = sizeof(rules), .most = WORKERS};
  const gipc_pool_events events = {.size = sizeof(events),
                                   .on_result = on_result};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  gipc_options *options;
  gipc_process *client;
  gipc_pool *pool;
  ev_io listener;

  if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 128) != 0)
    err(1, "listen");
  getsockname(fd, (struct sockaddr *)&address, &size);
  must(gipc_start_process(ask, &address, NULL, &client), "gipc_start_process");

  must(gipc_options_new(&options), "gipc_options_new");
  /* Else a worker has copies of the connections that are open at its start. */
  must(gipc_options_keep_fds(options, NULL, 0), "gipc_options_keep_fds");
  must(gipc_pool_new(work, NULL, &rules, options, &pool), "gipc_pool_new");
  gipc_options_free(options);
  must(gipc_pool_start(pool, loop, &events, &listener), "gipc_pool_start");

  ev_io_init(&listener, on_connection, fd, EV_READ);
  listener.data = pool;
  ev_io_start(loop, &listener);
  ev_run(loop, 0); /* until the pool has stopped */
  gipc_pool_free(pool);
  close(fd);
  must(gipc_process_join(client, -1), "gipc_process_join");
  gipc_process_free(client);
  return 0;
}
