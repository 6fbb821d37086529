/* A listener whose accepted sockets go to the workers of a pool, which speak
 * HTTP with the client.  GIPC_TEST_LONG: 10,000 requests. */
#include "support_fds.h"
#include "support_workers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { WORKERS = 3, QUEUE = 4 };

/* ---- Workers ------------------------------------------------------------- */

/* Answers a request with its path, and the task with the number of descriptors
 * that are open in between tasks. */
static int answer(const gipc_worker_message *task, gipc_worker_message *out,
                  void *handle) {
  static int open_fds;
  char request[4096], path[256], text[600];
  size_t size = 0;
  ssize_t n = 1;
  int fd, count = gipc_take_fds(handle, &fd, 1);
  if (count < 0)
    return count;
  CHECK_IS(count, 1);
  request[0] = 0;
  while (strstr(request, "\r\n\r\n") == NULL && n > 0 && size < 4000) {
    n = read(fd, request + size, sizeof request - 1 - size);
    size += n > 0 ? (size_t)n : 0;
    request[size] = 0;
  }
  CHECK_IS(sscanf(request, "GET %255s HTTP/1.1\r\n", path), 1);
  n = snprintf(text, sizeof text,
               "HTTP/1.1 200 OK\r\nConnection: close\r\n"
               "Content-Length: %zu\r\n\r\n%s\n",
               strlen(path) + 1, path);
  CHECK(write_all(fd, text, (size_t)n));
  close(fd);
  open_fds = count_fds();
  out->data = &open_fds;
  out->data_size = sizeof open_fds;
  return 0;
}

static int serve(struct ev_loop *fresh, gipc_handle *handle, void *argument) {
  return gipc_worker_serve(handle, answer, handle) == 0 ? 0 : 1;
}

/* ---- The listener -------------------------------------------------------- */

static gipc_pool *pool;
static ev_io listener;
static int waiting = -1; /* accepted, and refused by the pool */
static int most_fds, fds_of_workers;

static void give(int fd) {
  uint64_t task;
  int result = gipc_pool_try_put_with(pool, "", 0, &fd, 1, NULL, &task);
  if (result == -EAGAIN) {
    waiting = fd;
    ev_io_stop(got.loop, &listener);
    return;
  }
  CHECK_OK(result);
  close(fd);
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events) {
  int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0)
    give(fd);
}

static void on_room(gipc_pool *p, void *user) {
  int fd = waiting;
  got.drains++;
  if (fd < 0)
    return;
  waiting = -1;
  ev_io_start(got.loop, &listener);
  give(fd);
}

static void look(gipc_pool *p, const gipc_result *result) {
  int now = count_fds(), of_worker;
  if (result->why != GIPC_WHY_DONE)
    return;
  memcpy(&of_worker, result->data, sizeof of_worker);
  most_fds = now > most_fds ? now : most_fds;
  if (fds_of_workers == 0)
    fds_of_workers = of_worker;
  CHECK_IS(of_worker, fds_of_workers);
}

static int listen_here(char port[16]) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  CHECK(fd >= 0);
  CHECK_OK(bind(fd, (struct sockaddr *)&address, size));
  CHECK_OK(listen(fd, 128));
  CHECK_OK(getsockname(fd, (struct sockaddr *)&address, &size));
  sprintf(port, "%d", ntohs(address.sin_port));
  return fd;
}

/* Starts the pool, whose workers keep no descriptor of this process, and the
 * client. */
static gipc_process *start_all(size_t requests, int *fd) {
  need_descriptors();
  const gipc_rules rules = {
      .size = sizeof rules, .most = WORKERS, .queue_limit = QUEUE};
  gipc_pool_events events = pool_events;
  gipc_options *o = new_options();
  char port[16], count[16];
  if (access("/usr/bin/python3", X_OK) != 0)
    skip_because("the client needs python3");
  events.on_drain = on_room;
  CHECK_OK(gipc_options_keep_fds(o, NULL, 0));
  CHECK_OK(gipc_pool_new(serve, NULL, &rules, o, &pool));
  gipc_options_free(o);
  got = (results){.loop = ev_loop_new(EVFLAG_AUTO), .on_result = look};
  CHECK_OK(gipc_pool_start(pool, got.loop, &events, &got));
  *fd = listen_here(port);
  ev_io_init(&listener, on_connection, *fd, EV_READ);
  ev_io_start(got.loop, &listener);
  sprintf(count, "%zu", requests);
  return execute(NULL, "/usr/bin/python3", "tests/pool/http_client.py", port,
                 count, NULL);
}

static void accepted_sockets_go_to_the_workers(void **state) {
  size_t requests = getenv("GIPC_TEST_LONG") != NULL ? 10000 : many(400, 40);
  int fd;
  gipc_process *client = start_all(requests, &fd);
  most_fds = fds_of_workers = 0;
  int before = count_fds();
  run_until(requests);
  CHECK_IS((long)got.by_why[GIPC_WHY_DONE], (long)requests);
  CHECK_IS(end_of(client), 0);
  /* The ends of the workers with a ring, and the sockets of tasks. */
  CHECK(most_fds <= before + 6 * WORKERS + QUEUE + 2);
  CHECK_IS((long)got.started, WORKERS);
  ev_io_stop(got.loop, &listener);
  close(fd);
  end_pool(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(accepted_sockets_go_to_the_workers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
