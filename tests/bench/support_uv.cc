// libuv, as a peer; nothing where its header is missing.
#include "bench.h"

#if __has_include(<uv.h>)

#include <algorithm>
#include <cstdint>
#include <unistd.h>
#include <utility>
#include <uv.h>

namespace bench {

namespace {

struct Loop {
  uv_loop_t loop;
  Loop() { uv_loop_init(&loop); }
  ~Loop() {
    uv_run(&loop, UV_RUN_DEFAULT); // the callbacks of what was closed
    uv_loop_close(&loop);
  }
  Loop(const Loop &) = delete;
  void run() { uv_run(&loop, UV_RUN_DEFAULT); }
  void stop() { uv_stop(&loop); }
};

// One end of a ping-pong over a stream of libuv, a write for each message.
struct Player {
  Loop &loop;
  uv_pipe_t pipe;
  uv_write_t request;
  std::vector<char> data;
  char received[65536];
  size_t got = 0, left = 0;
  std::function<void()> on_message;

  Player(Loop &on, int fd, size_t size) : loop(on), data(size, 'x') {
    uv_pipe_init(&loop.loop, &pipe, 0);
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
            self->loop.stop();
          else
            self->receive(static_cast<size_t>(result));
        });
  }
  ~Player() { close(); }
  void close() {
    auto *handle = reinterpret_cast<uv_handle_t *>(&pipe);
    if (!uv_is_closing(handle))
      uv_close(handle, nullptr);
    loop.run();
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
  Loop &loop;
  uv_pipe_t pipe;
  std::vector<char> frames;
  // at_most: writes that are not complete, which bounds a loop iteration.
  size_t framed, at_once, left = 0, at_most = SIZE_MAX, pending = 0;

  Pusher(Loop &on, int fd, size_t size, bool coalesce)
      : loop(on), framed(size + 4),
        at_once(coalesce && framed < chunk ? chunk / framed : 1) {
    frames.assign(framed * at_once, 'x');
    uv_pipe_init(&loop.loop, &pipe, 0);
    check(-(uv_pipe_open(&pipe, fd) != 0), "uv_pipe_open");
    pipe.data = this;
  }
  ~Pusher() {
    left = 0;
    uv_close(reinterpret_cast<uv_handle_t *>(&pipe), nullptr);
    loop.run();
  }
  void fill() {
    auto *stream = reinterpret_cast<uv_stream_t *>(&pipe);
    while (left > 0 && pending < at_most &&
           uv_stream_get_write_queue_size(stream) < chunk) {
      ++pending;
      size_t some = std::min(left, at_once);
      left -= some;
      uv_buf_t buffer =
          uv_buf_init(frames.data(), static_cast<unsigned>(framed * some));
      auto *request = new uv_write_t;
      uv_write(request, stream, &buffer, 1, [](uv_write_t *done, int) {
        auto *self = static_cast<Pusher *>(done->handle->data);
        delete done;
        --self->pending;
        self->fill();
      });
    }
  }
};

} // namespace

double uv_round_trip(size_t size, Counts counts) {
  Socketpair pair;
  Child child([&](int report) {
    Loop loop;
    Player player(loop, pair.fds[1], size);
    Progress progress(counts, report);
    player.on_message = [&] {
      player.send();
      if (progress.one_more())
        loop.stop();
    };
    loop.run();
    _exit(0);
  });
  Loop loop;
  Player player(loop, dup(pair.fds[0]), size);
  player.on_message = [&] {
    if (--player.left > 0)
      player.send();
    else
      loop.stop();
  };
  return rate(child, counts, [&](size_t count) {
    player.left = count;
    player.send();
    loop.run();
  });
}

double uv_tail(size_t size, Counts counts, size_t percent) {
  Latencies latencies(counts);
  Socketpair beside, pair;
  // A child holds its own end only, so that it sees the end of the stream.
  auto receive_all = [&](int fd, bool answer) {
    for (int other : {beside.fds[0], pair.fds[0]})
      close(other);
    Loop loop;
    Player player(loop, fd, size + 4);
    player.on_message = [&] {
      if (answer)
        player.send();
    };
    loop.run();
    _exit(0);
  };
  Child sink([&](int) { receive_all(beside.fds[1], false); });
  Child echo([&](int) { receive_all(pair.fds[1], true); });
  Loop loop;
  Player player(loop, std::exchange(pair.fds[0], -1), size + 4);
  {
    Pusher pusher(loop, std::exchange(beside.fds[0], -1), size, false);
    pusher.left = SIZE_MAX;
    pusher.at_most = puts_beside;
    player.on_message = [&] {
      if (latencies.stop())
        return loop.stop();
      latencies.start();
      player.send();
    };
    pusher.fill();
    latencies.start();
    player.send();
    loop.run();
    pusher.left = 0;
    player.close(); // the end of its stream, for the child
  }
  return latencies.rate_at(percent);
}

double uv_one_way(size_t size, Counts counts, bool coalesce) {
  Socketpair pair;
  Child child([&](int report) {
    // Takes whatever has come, and counts the frames in it.
    Loop loop;
    Player player(loop, pair.fds[1], size + 4);
    Progress progress(counts, report);
    player.on_message = [&] {
      if (progress.one_more())
        loop.stop();
    };
    loop.run();
    _exit(0);
  });
  Loop loop;
  Pusher pusher(loop, dup(pair.fds[0]), size, coalesce);
  return rate(child, counts, [&](size_t count) {
    pusher.left = count;
    pusher.fill();
    loop.run();
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
double uv_tail(size_t, Counts, size_t) { return not_measured; }
double uv_spawn_rate(const char *, size_t) { return not_measured; }

} // namespace bench

#endif
