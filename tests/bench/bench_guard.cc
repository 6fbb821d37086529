// One operation of the library, a number of times: what tests/bench/guard.py
// counts the instructions of.
//   bench_guard OPERATION COUNT
// Without arguments: the names of the operations.
#include "bench.h"

#include "gipc.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ev.h>
#include <pthread.h>

using namespace bench;

// Where the guard begins to count in a forked child: callgrind would give it
// all that its parent has done.
extern "C" __attribute__((noinline)) void guard_forked() { asm volatile(""); }

namespace {

// Both ends in one process, where nothing depends on when the other one runs.
struct Ends {
  gipc_handle *reader, *writer;
  explicit Ends(int (*create)(gipc_handle **, gipc_handle **) = gipc_pipe) {
    must(create(&reader, &writer), "pipe");
  }
  ~Ends() {
    gipc_handle_free(reader);
    gipc_handle_free(writer);
  }
  Ends(const Ends &) = delete;
};

void get(gipc_handle *h) {
  const void *data;
  size_t size;
  must(gipc_get(h, -1, &data, &size), "get");
}

template <size_t size> void put_get(size_t count) {
  Ends ends;
  char message[size] = {};
  while (count-- > 0) {
    must(gipc_put(ends.writer, message, size, -1), "put");
    get(ends.reader);
  }
}

void push(size_t count) {
  Ends ends;
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  size_t received = 0;
  auto on_message = [](gipc_handle *, const void *, size_t, void *user) {
    ++*static_cast<size_t *>(user);
  };
  gipc_events events{sizeof events, on_message, nullptr, nullptr};
  must(gipc_start(ends.reader, loop, &events, &received), "start");
  char message[64] = {};
  for (size_t sent = 1; sent <= count; ++sent) {
    must(gipc_try_put(ends.writer, message, sizeof message), "put");
    must(gipc_flush(ends.writer, -1), "flush");
    while (received < sent)
      ev_run(loop, EVRUN_ONCE);
  }
  must(gipc_stop(ends.reader), "stop");
  ev_loop_destroy(loop);
}

void many(size_t count) {
  Ends ends;
  char message[64] = {};
  gipc_message batch[100];
  for (gipc_message &one : batch)
    one = {message, sizeof message};
  for (; count > 0; count -= 100) {
    size_t accepted;
    must(gipc_put_many(ends.writer, batch, 100, -1, &accepted), "put");
    for (size_t i = 0; i < 100; ++i)
      get(ends.reader);
  }
}

void round_trip(size_t count) {
  Ends ends(gipc_pipe_duplex);
  char message[64] = {};
  while (count-- > 0) {
    must(gipc_put(ends.writer, message, sizeof message, -1), "put");
    get(ends.reader);
    must(gipc_put(ends.reader, message, sizeof message, -1), "put");
    get(ends.writer);
  }
}

void pipe_close(size_t count) {
  while (count-- > 0)
    Ends ends;
}

void join(gipc_process *process) {
  must(gipc_process_join(process, -1), "join");
  gipc_process_free(process);
}

void start_function(size_t count) {
  while (count-- > 0) {
    gipc_process *process;
    must(gipc_start_process([](struct ev_loop *, void *) { return 0; }, nullptr,
                            nullptr, &process),
         "start");
    join(process);
  }
}

void start_program(size_t count) {
  const char *arguments[] = {"/bin/true", nullptr};
  while (count-- > 0) {
    gipc_process *process;
    must(gipc_exec_process(arguments, nullptr, &process), "exec");
    join(process);
  }
}

// fewer, more: the counts whose difference is taken.
struct Operation {
  const char *name;
  void (*run)(size_t count);
  size_t fewer, more;
};

constexpr Operation operations[] = {
    {"put_get_1", put_get<1>, 3000, 6000},
    {"put_get_64", put_get<64>, 3000, 6000},
    {"put_get_1024", put_get<1024>, 3000, 6000},
    {"try_put_flush_on_message_64", push, 3000, 6000},
    {"put_many_get_64", many, 30'000, 60'000},
    {"round_trip_64", round_trip, 3000, 6000},
    {"pipe_close", pipe_close, 200, 400},
    {"start_join_function", start_function, 10, 20},
    {"start_join_program", start_program, 10, 20},
};

} // namespace

int main(int argc, char **argv) {
  check(-pthread_atfork(nullptr, nullptr, guard_forked), "pthread_atfork");
  for (const Operation &operation : operations)
    if (argc < 3)
      std::printf("%s %zu %zu\n", operation.name, operation.fewer,
                  operation.more);
    else if (std::strcmp(operation.name, argv[1]) == 0)
      operation.run(std::strtoul(argv[2], nullptr, 10));
}
