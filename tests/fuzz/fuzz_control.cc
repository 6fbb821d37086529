// What comes on the control socket of a child: any bytes, as records for the
// parent, or as the start gate of the child.  The parent reports a child that
// began, failed or ended, each as one that can be; the child closes no
// descriptor but those that it is told of. (H58)
#include "control.h"
#include "gipc.h"
#include "os.h"
#include "status.h"
#include "support.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace gipc;
using control::Record;

namespace {

int32_t number(Input &input) {
  int32_t value = input.next();
  // Near 0, and anywhere.
  return value < 128 ? value - 16 : value << 24 | input.next() << 8;
}

// What the bytes that were sent mean.
struct Expected {
  void add(const void *data, size_t size) {
    auto *from = static_cast<const uint8_t *>(data);
    for (size_t i = 0; i < size; ++i) {
      bytes[length++] = from[i];
      if (length < sizeof(Record))
        continue;
      Record record;
      std::memcpy(&record, bytes, sizeof record);
      length = 0;
      ++count;
      if (record.kind == Record::ended)
        code = record.value & 0xff;
      has_tree |= record.kind == Record::tree;
      has_failed |= record.kind == Record::failed;
    }
  }
  uint8_t bytes[sizeof(Record)];
  size_t length = 0, count = 0;
  std::optional<int> code;
  bool has_tree = false, has_failed = false;
};

// A child that cannot be reaped: all that is known of it is what it tells.
struct Parent {
  Parent() {
    Fd parent;
    int ends[2];
    require(os::socket_pair(parent, child) == 0 && pipe2(ends, O_CLOEXEC) == 0);
    status.set_control(registry::Held(std::move(parent)));
    status.set_started(getpid(), Fd(ends[0]));
    life.reset(ends[1]);
  }
  void send(const void *data, size_t size) {
    ssize_t sent = ::send(child.get(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
      expected.add(data, static_cast<size_t>(sent));
  }
  void act(Input &input) {
    switch (input.below(8)) {
    case 0: {
      Input bytes = input.take(1 + input.below(40));
      send(bytes.data, bytes.size);
      break;
    }
    case 1:
    case 2:
    case 3: {
      Record record{input.next() % 9, number(input), number(input)};
      send(&record, sizeof record);
      break;
    }
    case 4:
      (void)status.begins_within(0);
      break;
    case 5:
      child.reset();
      break;
    case 6:
      life.reset();
      break;
    default:
      require(!status.reap_or_sleep() || !life);
    }
    check();
  }
  void check() const {
    const Failure failure = status.failure();
    require(failure.error <= 0 && (failure.error == 0 || expected.has_failed));
    require(status.tree() >= GIPC_TREE_NONE &&
            status.tree() <= GIPC_TREE_SESSION);
  }
  void end() {
    child.reset();
    life.reset();
    require(status.reap_or_sleep() && status.is_known());
    (void)status.begins_within(-1); // returns, as nothing can come
    require(status.wait_for_root() != 0);
    gipc_exit_info info{};
    int code = 0;
    status.describe(info);
    int result = status.exitcode(code);
    require(result == (info.how == GIPC_STATUS_LOST ? GIPC_ESTATUSLOST : 0));
    require(info.how == GIPC_STATUS_FROM_CHILD || info.how == GIPC_STATUS_LOST);
    require(info.code >= -1 && info.code <= 255 && info.signal >= 0 &&
            info.signal <= 127);
    require(info.ended >= GIPC_ENDED_UNKNOWN &&
            info.ended <= GIPC_ENDED_UNSENT);
    constexpr size_t at_once = 8; // more than a child sends
    if (expected.count <= at_once && !expected.has_tree)
      require(expected.code ? code == *expected.code
                            : info.how == GIPC_STATUS_LOST);
  }
  Fd child, life;
  Status status;
  Expected expected;
};

void attack_parent(Input input) {
  Parent parent;
  while (!input.at_end())
    parent.act(input);
  parent.check();
  parent.end();
}

// ---- The gate ---------------------------------------------------------------

constexpr int count = 6;

// Files that the parent may tell of.
struct Files {
  Files() {
    int pair[2];
    require(pipe2(pair, O_CLOEXEC) == 0);
    fds[0] = pair[0], fds[1] = pair[1];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    fds[2] = pair[0], fds[3] = pair[1];
    fds[4] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fds[5] = open("/", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < count; ++i)
      require(fds[i] > 2 && fstat(fds[i], &info[i]) == 0);
  }
  ~Files() {
    for (int fd : fds)
      (void)close(fd);
  }
  bool is_open(int i) const {
    struct stat now;
    return fstat(fds[i], &now) == 0 && now.st_ino == info[i].st_ino &&
           now.st_dev == info[i].st_dev;
  }
  registry::Change change(int i, Input &input) const {
    registry::Change change{info[i].st_dev, info[i].st_ino, fds[i], 1};
    switch (input.below(6)) {
    case 0:
      change.known = 0;
      break;
    case 1:
      change.inode += 1 + input.next();
      break;
    case 2:
      change.fd = static_cast<int32_t>(input.below(3));
      break;
    default:
      break;
    }
    return change;
  }
  int fds[count];
  struct stat info[count];
};

void attack_child(Input input) {
  Files files;
  Fd parent, child;
  require(os::socket_pair(parent, child) == 0);
  std::vector<int> keep{files.fds[input.below(count)]};
  auto left = static_cast<int32_t>(input.next());
  left = left > 250 ? (left - 255) * (1 << 28) : left % 40;
  bool may_close[count] = {};
  (void)send(parent.get(), &left, input.below(8) == 0 ? 3 : sizeof left,
             MSG_NOSIGNAL);
  while (!input.at_end()) {
    if (input.below(8) == 0) {
      Input bytes = input.take(1 + input.below(30));
      (void)send(parent.get(), bytes.data, bytes.size, MSG_NOSIGNAL);
      continue;
    }
    int i = static_cast<int>(input.below(count));
    registry::Change change = files.change(i, input);
    bool is_it = change.known != 0 && change.fd == files.fds[i] &&
                 change.inode == files.info[i].st_ino;
    may_close[i] |= is_it && i < 4 && files.fds[i] != keep[0];
    (void)send(parent.get(), &change, sizeof change, MSG_NOSIGNAL);
  }
  parent.reset();
  (void)control::pass_gate(child.get(), keep);
  for (int i = 0; i < count; ++i)
    require(may_close[i] || files.is_open(i));
  for (int fd = 0; fd < 3; ++fd)
    require(fcntl(fd, F_GETFD) >= 0);
}

} // namespace

extern "C" size_t cost_of_input() { return 4; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  constexpr size_t most = 600; // fits in the buffer of a socket
  Input input{data, std::min(size, most)};
  bool is_parent = input.below(2) == 0;
  size_t before = count_descriptors();
  (is_parent ? attack_parent : attack_child)(input);
  require(count_descriptors() == before);
  return 0;
}
