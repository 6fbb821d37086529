/* Workers that do not keep to the protocol cost themselves, and the task that
 * they have. */
#include "support_workers.h"

/* ---- Workers ------------------------------------------------------------- */

typedef struct lie {
  const char *name;
  bool before_ready; /* else at the first task */
  const char *bytes; /* $ stands for the number of the task */
  size_t size;
  int why;    /* of the task; 0: it is carried out by another worker */
  bool twice; /* after the right answer */
} lie;

#define BYTES(text) text, sizeof text - 1

static const lie lies[] = {
    {"an answer before it is ready", true, BYTES("D\0\0\0\0\0\0\0\1"), 0,
     false},
    {"no message at all", true, BYTES(""), 0, false},
    {"another version", true, BYTES("R\2"), 0, false},
    {"ready twice", false, BYTES("R\1"), GIPC_WHY_PROTOCOL, false},
    {"a wrong task", false, BYTES("D\0\0\0\0\0\0\0\x63x"), GIPC_WHY_PROTOCOL,
     false},
    {"half an answer", false, BYTES("D\0\0"), GIPC_WHY_PROTOCOL, false},
    {"texts that are too long", false, BYTES("F$\xff\xff\xff\xff"),
     GIPC_WHY_PROTOCOL, false},
    {"a task", false, BYTES("T$\0\0\0\1x"), GIPC_WHY_PROTOCOL, false},
    {"an unknown kind", false, BYTES("Z$"), GIPC_WHY_PROTOCOL, false},
    {"two answers", false, BYTES("D$x"), GIPC_WHY_DONE, true},
};

static int put_lie(gipc_handle *h, const lie *it, const char *task) {
  char bytes[64];
  size_t size = 0;
  for (size_t i = 0; i < it->size; i++)
    if (it->bytes[i] == '$') {
      memcpy(bytes + size, task, 8);
      size += 8;
    } else {
      bytes[size++] = it->bytes[i];
    }
  return gipc_put(h, bytes, size, -1);
}

/* Lies once, as long as the file is not there, then waits for its end. */
static char told[128];
static int liar(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  const lie *it = argument;
  const void *data;
  size_t size;
  char task[8] = "";
  if (access(told, F_OK) == 0)
    return serve_commands(fresh, h, NULL);
  fclose(fopen(told, "w"));
  if (!it->before_ready) {
    CHECK_OK(gipc_put(h, "R\1", 2, -1));
    CHECK_OK(gipc_get(h, -1, &data, &size));
    memcpy(task, (const char *)data + 1, 8);
  }
  CHECK_OK(put_lie(h, it, task));
  if (it->twice)
    CHECK_OK(put_lie(h, it, task));
  while (gipc_get(h, -1, &data, &size) == 0)
    ;
  pause();
  return 0;
}

/* ---- Tests --------------------------------------------------------------- */

static int reasons[16];
static void note_end(gipc_pool *pool, const gipc_worker_change *change) {
  if (change->state == GIPC_WORKER_OFF)
    reasons[change->why]++;
}

static void a_lie_costs_one_worker(void **state) {
  scratch("told", told);
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    const lie *it = &lies[i];
    gipc_pool *pool = pool_of(liar, (void *)it,
                              "most=1 grace=0.01 first_delay=0.001 jitter=-1");
    memset(reasons, 0, sizeof reasons);
    start_pool(pool);
    got.on_worker = note_end;
    put(pool, "e");
    while (it->twice && got.off == 0)
      ev_run(got.loop, EVRUN_ONCE);
    put(pool, "ethen");
    run_until(2);
    if (got.by_why[GIPC_WHY_DONE] != (it->why == GIPC_WHY_PROTOCOL ? 1 : 2) ||
        (it->why == GIPC_WHY_PROTOCOL && got.by_why[GIPC_WHY_PROTOCOL] != 1))
      fail_msg("%s: %zu done, %zu protocol", it->name,
               got.by_why[GIPC_WHY_DONE], got.by_why[GIPC_WHY_PROTOCOL]);
    CHECK_IS((long)got.started, 2);
    CHECK_IS(reasons[GIPC_WHY_PROTOCOL], 1);
    end_pool(pool);
    CHECK_OK(remove(told));
  }
}

/* Bytes that are no message: a length that is reserved, one that is too large,
 * and noise. */
static int noise(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  const char *bytes[] = {"\xff\xff\xff\x00rest", "\x7f\xff\xff\xff", "GET / "};
  int fd = gipc_fd(h, GIPC_WRITE);
  CHECK(write_all(fd, bytes[*(int *)argument], 4));
  pause();
  return 0;
}

static void noise_costs_the_workers_until_the_pool_gives_up(void **state) {
  for (int i = 0; i < 3; i++) {
    gipc_pool *pool = pool_of(
        noise, &i, "most=1 grace=0.01 first_delay=0.001 ready_within=0.2");
    start_pool(pool);
    put(pool, "e");
    ev_run(got.loop, 0);
    CHECK_IS(got.last.why, GIPC_WHY_GAVE_UP);
    CHECK_IS((long)got.started, 3);
    CHECK(got.last_off.why == GIPC_WHY_PROTOCOL ||
          got.last_off.why == GIPC_WHY_NOT_READY);
    drop_pool(pool);
  }
}

/* Its stream ends, and it runs on. */
static int closes(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  const void *data;
  size_t size;
  CHECK_OK(gipc_put(h, "R\1", 2, -1));
  CHECK_OK(gipc_get(h, -1, &data, &size));
  CHECK_OK(gipc_close(h));
  return wait_for_signal(fresh, NULL);
}

static void a_worker_without_a_stream_is_stopped(void **state) {
  gipc_pool *pool = pool_of(closes, NULL, "most=1");
  start_pool(pool);
  CHECK_IS(do_task(pool, "e"), GIPC_WHY_PROTOCOL);
  CHECK_IS(got.last.info.signal, SIGTERM);
  end_pool(pool);
}

/* A process that it left behind holds the stream open. */
static int leaves(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  const void *data;
  size_t size;
  char answer[] = "D\0\0\0\0\0\0\0\0x";
  CHECK_OK(gipc_put(h, "R\1", 2, -1));
  if (gipc_get(h, -1, &data, &size) != 0)
    return 0;
  if (fork() == 0) {
    const int *ends = argument;
    char byte;
    close(ends[1]);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
      ;
    _exit(0);
  }
  memcpy(answer + 1, (const char *)data + 1, 8);
  CHECK_OK(gipc_put(h, answer, 10, -1));
  return 0;
}

static void an_answer_counts_though_the_stream_stays_open(void **state) {
  int ends[2];
  CHECK_OK(pipe(ends));
  gipc_pool *pool = pool_of(leaves, ends, "most=1");
  start_pool(pool);
  for (int i = 0; i < 3; i++) {
    CHECK_IS(do_task(pool, "e"), GIPC_WHY_DONE);
    while (got.off <= (size_t)i)
      ev_run(got.loop, EVRUN_ONCE);
    CHECK_IS(got.last_off.info.code, 0);
  }
  end_pool(pool);
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_lie_costs_one_worker),
      TEST(noise_costs_the_workers_until_the_pool_gives_up),
      TEST(a_worker_without_a_stream_is_stopped),
      TEST(an_answer_counts_though_the_stream_stays_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
