// libuv, as a peer; nothing where its header is missing.
#include "bench.h"

#if __has_include(<uv.h>)

#include <uv.h>

namespace bench {

namespace {

// One end of a ping-pong over a stream of libuv, a write for each message.
struct Player {
  uv_loop_t loop;
  uv_pipe_t pipe;
  uv_write_t request;
  std::vector<char> data;
  char received[65536];
  size_t got = 0, left = 0;
  std::function<void()> on_message;

  Player(int fd, size_t size) : data(size, 'x') {
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &pipe, 0);
    check(-(uv_pipe_open(&pipe, fd) != 0), "uv_pipe_open");
    pipe.data = this;
    uv_read_start(
        reinterpret_cast<uv_stream_t *>(&pipe),
        [](uv_handle_t *handle, size_t, uv_buf_t *buffer) {
          auto *self = static_cast<Player *>(handle->data);
          *buffer = uv_buf_init(self->received, sizeof self->received);
        },
        [](uv_stream_t *stream, ssize_t result, const uv_buf_t *) {
          auto *self = static_cast<Player *>(stream->data);
          if (result < 0)
            uv_stop(&self->loop);
          else
            self->receive(static_cast<size_t>(result));
        });
  }
  ~Player() {
    uv_close(reinterpret_cast<uv_handle_t *>(&pipe), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
  void receive(size_t more) {
    got += more;
    if (got < data.size())
      return;
    got = 0;
    touch(received, data.size());
    on_message();
  }
  void send() {
    uv_buf_t buffer =
        uv_buf_init(data.data(), static_cast<unsigned>(data.size()));
    uv_write(&request, reinterpret_cast<uv_stream_t *>(&pipe), &buffer, 1,
             [](uv_write_t *, int) {});
  }
};

} // namespace

double uv_round_trip(size_t size, Counts counts) {
  Socketpair pair;
  Child child([&](int report) {
    Player player(pair.fds[1], size);
    Progress progress(counts, report);
    player.on_message = [&] {
      player.send();
      if (progress.one_more())
        uv_stop(&player.loop);
    };
    uv_run(&player.loop, UV_RUN_DEFAULT);
    _exit(0);
  });
  Player player(dup(pair.fds[0]), size);
  player.on_message = [&] {
    if (--player.left > 0)
      player.send();
    else
      uv_stop(&player.loop);
  };
  return rate(child, counts, [&](size_t count) {
    player.left = count;
    player.send();
    uv_run(&player.loop, UV_RUN_DEFAULT);
  });
}

double uv_spawn_rate(const char *program, size_t count) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  std::string path(program);
  char *arguments[] = {path.data(), nullptr};
  uv_process_options_t options{};
  options.file = program;
  options.args = arguments;
  options.exit_cb = [](uv_process_t *process, int64_t, int) {
    uv_close(reinterpret_cast<uv_handle_t *>(process), nullptr);
  };
  double start = now();
  for (size_t i = 0; i < count; ++i) {
    uv_process_t process;
    check(-(uv_spawn(&loop, &process, &options) != 0), "uv_spawn");
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  double result = static_cast<double>(count) / (now() - start);
  uv_loop_close(&loop);
  return result;
}

} // namespace bench

#else

namespace bench {

double uv_round_trip(size_t, Counts) { return not_measured; }
double uv_spawn_rate(const char *, size_t) { return not_measured; }

} // namespace bench

#endif
