// libuv, as a peer; nothing where its header is missing.
#include "bench.h"

#if __has_include(<uv.h>)

#include <algorithm>
#include <unistd.h>
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
    touch(received, more);
    for (got += more; got >= data.size(); got -= data.size())
      on_message();
  }
  void send() {
    uv_buf_t buffer =
        uv_buf_init(data.data(), static_cast<unsigned>(data.size()));
    uv_write(&request, reinterpret_cast<uv_stream_t *>(&pipe), &buffer, 1,
             [](uv_write_t *, int) {});
  }
};

constexpr size_t chunk = 64 * 1024;

// Sends frames of one size: a write for each, or for as many as fill a chunk.
struct Pusher {
  uv_loop_t loop;
  uv_pipe_t pipe;
  std::vector<char> frames;
  size_t framed, at_once, left = 0;

  Pusher(int fd, size_t size, bool coalesce)
      : framed(size + 4),
        at_once(coalesce && framed < chunk ? chunk / framed : 1) {
    frames.assign(framed * at_once, 'x');
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &pipe, 0);
    check(-(uv_pipe_open(&pipe, fd) != 0), "uv_pipe_open");
    pipe.data = this;
  }
  ~Pusher() {
    uv_close(reinterpret_cast<uv_handle_t *>(&pipe), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
  void fill() {
    auto *stream = reinterpret_cast<uv_stream_t *>(&pipe);
    while (left > 0 && uv_stream_get_write_queue_size(stream) < chunk) {
      size_t some = std::min(left, at_once);
      left -= some;
      uv_buf_t buffer =
          uv_buf_init(frames.data(), static_cast<unsigned>(framed * some));
      auto *request = new uv_write_t;
      uv_write(request, stream, &buffer, 1, [](uv_write_t *done, int) {
        auto *self = static_cast<Pusher *>(done->handle->data);
        delete done;
        self->fill();
      });
    }
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

double uv_one_way(size_t size, Counts counts, bool coalesce) {
  Socketpair pair;
  Child child([&](int report) {
    // Takes whatever has come, and counts the frames in it.
    Player player(pair.fds[1], size + 4);
    Progress progress(counts, report);
    player.on_message = [&] {
      if (progress.one_more())
        uv_stop(&player.loop);
    };
    uv_run(&player.loop, UV_RUN_DEFAULT);
    _exit(0);
  });
  Pusher pusher(dup(pair.fds[0]), size, coalesce);
  return rate(child, counts, [&](size_t count) {
    pusher.left = count;
    pusher.fill();
    uv_run(&pusher.loop, UV_RUN_DEFAULT);
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

double uv_one_way(size_t, Counts, bool) { return not_measured; }
double uv_round_trip(size_t, Counts) { return not_measured; }
double uv_spawn_rate(const char *, size_t) { return not_measured; }

} // namespace bench

#endif
