// A hostile pool: any messages to a worker, with descriptors that nobody takes.
// The worker answers each task once, in order, and ends with a documented
// result. (H58)
#include "gipc.h"
#include "support.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

struct Worker {
  gipc_handle *handle;
  Input input; // what the tasks do
  std::deque<uint64_t> tasks;
};

gipc_text text(const char *bytes) { return {bytes, std::strlen(bytes)}; }

int work(const gipc_worker_message *task, gipc_worker_message *answer,
         void *user) {
  auto &worker = *static_cast<Worker *>(user);
  require(task->kind == GIPC_MESSAGE_TASK);
  require(answer->kind == GIPC_MESSAGE_DONE && answer->data_size == 0);
  worker.tasks.push_back(task->task);
  // All of it can be read.
  static volatile unsigned char sum;
  for (size_t i = 0; i < task->data_size; ++i)
    sum = sum + static_cast<const unsigned char *>(task->data)[i];
  int fds[GIPC_MOST_FDS];
  switch (worker.input.below(7)) {
  case 0:
    answer->kind = GIPC_MESSAGE_FAILED;
    answer->type = answer->text = text("type");
    break;
  case 1:
    return -EIO;
  case 2:
    answer->kind = worker.input.next(); // not one that a task may have
    break;
  case 3:
    for (int n = gipc_take_fds(worker.handle, fds, GIPC_MOST_FDS); n > 0;)
      require(close(fds[--n]) == 0);
    break;
  case 4:
    require(gipc_worker_alive(worker.handle) == 0);
    break;
  default:
    answer->data = task->data;
    answer->data_size = std::min<size_t>(task->data_size, 100);
  }
  return 0;
}

void send(int fd, const std::vector<uint8_t> &payload, size_t fd_count) {
  std::vector<uint8_t> bytes;
  auto append = [&](uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<uint8_t>(value >> shift));
  };
  if (fd_count > 0)
    append(0x80000000u | static_cast<uint32_t>(fd_count));
  append(static_cast<uint32_t>(payload.size()));
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
  iovec part{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd_count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    for (size_t i = 0; i < fd_count; ++i)
      std::memcpy(CMSG_DATA(rights) + i * sizeof(int), "\2\0\0\0", sizeof(int));
  }
  (void)sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::vector<uint8_t> task_of(Input &input, uint64_t number) {
  Input data = input.take(input.below(40));
  gipc_worker_message message{};
  message.size = sizeof message;
  message.kind = GIPC_MESSAGE_TASK;
  message.task = number;
  message.attempt = input.next();
  message.data = data.data;
  message.data_size = data.size;
  std::vector<uint8_t> bytes(100);
  size_t needed;
  require(gipc_worker_encode(&message, bytes.data(), bytes.size(), &needed) ==
          0);
  bytes.resize(needed);
  return bytes;
}

void send_all(int fd, Input &input) {
  for (uint64_t number = 0; number < 60 && !input.at_end(); ++number) {
    std::vector<uint8_t> bytes;
    switch (input.below(8)) {
    case 0: { // any message
      Input raw = input.take(input.below(40));
      bytes.assign(raw.data, raw.data + raw.size);
      break;
    }
    case 1: { // not even that
      Input raw = input.take(input.below(20));
      (void)::send(fd, raw.data, raw.size, MSG_DONTWAIT | MSG_NOSIGNAL);
      continue;
    }
    case 2:
      bytes = task_of(input, number << 56 | number);
      bytes.resize(input.below(bytes.size() + 1));
      break;
    default:
      bytes = task_of(input, number);
    }
    send(fd, bytes, input.below(4) == 0 ? input.below(4) : 0);
  }
}

// What the worker has sent: that it is ready, and one answer to each task.
void check_answers(int fd, Worker &worker) {
  gipc_handle *pool;
  require(gipc_open(fd, fd, &pool) == 0);
  const void *data;
  size_t size;
  bool is_ready = false;
  while (gipc_try_get(pool, &data, &size) == 0) {
    gipc_worker_message message{};
    message.size = sizeof message;
    require(gipc_worker_decode(data, size, &message) == 0);
    require((message.kind == GIPC_MESSAGE_READY) == !is_ready);
    is_ready = true;
    if (message.kind != GIPC_MESSAGE_DONE &&
        message.kind != GIPC_MESSAGE_FAILED)
      continue;
    require(!worker.tasks.empty() && worker.tasks.front() == message.task);
    worker.tasks.pop_front();
  }
  require(is_ready && worker.tasks.empty());
  gipc_handle_free(pool);
}

} // namespace

extern "C" size_t cost_of_input() { return 5; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t before = count_descriptors();
  Input input{data, std::min<size_t>(size, 2000)};
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  Worker worker{nullptr, input.take(30), {}};
  require(gipc_open(ends[0], ends[0], &worker.handle) == 0);
  require(gipc_set_limit(worker.handle, 1 << 16) == 0);
  send_all(ends[1], input);
  require(shutdown(ends[1], SHUT_WR) == 0);
  int result = gipc_worker_serve(worker.handle, work, &worker);
  require(result == 0 || result == GIPC_EPROTOCOL || result == GIPC_ETOOBIG ||
          result == GIPC_ETRUNCATED);
  gipc_handle_free(worker.handle);
  check_answers(ends[1], worker);
  require(count_descriptors() == before);
  return 0;
}
