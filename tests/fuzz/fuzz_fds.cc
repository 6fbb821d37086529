// A hostile peer of a socket that sends descriptors: more, fewer or other ones
// than its frames say, at any byte, also when this process has no number left
// for them.  Each result is a documented one, what a get returns is
// close-on-exec and belongs to its message, and no descriptor is left. (H58)
#include "frame.h"
#include "gipc.h"
#include "ring.h"
#include "support.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

using namespace gipc;

namespace {

void one_of(int result, std::initializer_list<int> known,
            int line = __builtin_LINE()) {
  bool found = std::find(known.begin(), known.end(), result) != known.end();
  if (!found)
    std::fprintf(stderr, "result %d: %s\n", result, gipc_strerror(result));
  require(found, __FILE__, line);
}

struct Peer {
  explicit Peer(int socket) : fd(socket) {
    require(pipe2(files, O_CLOEXEC) == 0);
    files[2] = STDERR_FILENO;
    Fd made;
    if (memory.create(RingMemory::least, made) == 0)
      files[3] = made.release();
  }
  ~Peer() {
    for (int i : {0, 1, 3})
      if (files[i] >= 0)
        (void)close(files[i]);
    (void)close(fd);
  }
  void send(const void *data, size_t size, const std::vector<int> &fds) {
    alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {};
    iovec part{const_cast<void *>(data), size};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
      size_t bytes = fds.size() * sizeof(int);
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr *rights = CMSG_FIRSTHDR(&header);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(rights), fds.data(), bytes);
    }
    (void)sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  std::vector<int> choose(Input &input, size_t count) {
    std::vector<int> fds;
    for (; count > 0; --count)
      fds.push_back(files[input.below(4)]);
    fds.erase(std::remove(fds.begin(), fds.end(), -1), fds.end());
    return fds;
  }
  void act(Input &input);
  void put(Input &input);

  int fd;
  int files[4] = {-1, -1, -1, -1};
  RingMemory memory;
};

// A message with descriptors, in one part or two, or nearly.
void Peer::put(Input &input) {
  unsigned char bytes[frame::longest_header + 300] = {};
  size_t count = input.below(6), number = count;
  if (count == 5)
    number = count = input.below(254);
  if (input.below(4) == 0)
    number = count + input.below(3) - 1;
  uint32_t kinds = input.below(3) == 0 ? input.next() << 4 | input.next() : 0;
  auto attached = static_cast<uint32_t>(number & 0xff) | (kinds & 0xfff) << 8;
  size_t size = input.next(), at = 0;
  if (input.below(5) == 0)
    attached = 0;
  at = frame::encode(size, attached, bytes);
  size_t cut = input.below(4) == 0 ? input.below(20) : 0;
  cut = std::min(cut, at + size);
  bool first = input.below(4) != 0;
  std::vector<int> fds = choose(input, count), none;
  if (cut > 0)
    send(bytes, cut, first ? fds : none);
  send(bytes + cut, at + size - cut, first && cut > 0 ? none : fds);
}

void Peer::act(Input &input) {
  unsigned char bytes[frame::control_size + 1];
  switch (input.below(6)) {
  case 0: {
    Input raw = input.take(1 + input.below(30));
    send(raw.data, raw.size, choose(input, input.below(3)));
    break;
  }
  case 1:
    frame::encode_ring(bytes);
    bytes[frame::control_size] = frame::door_bell;
    if (memory.is_mapped())
      memory.page().offer.store(static_cast<uint32_t>(input.below(5)));
    send(bytes, frame::control_size + input.below(2), {});
    break;
  case 2:
    (void)recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    break;
  case 3:
    if (memory.is_mapped())
      memory.page().head.fetch_add(input.next());
    break;
  default:
    put(input);
  }
}

// No descriptor has a number above the highest one but so many.
struct FewNumbers {
  explicit FewNumbers(size_t left) {
    require(getrlimit(RLIMIT_NOFILE, &before) == 0);
    int next = dup(STDERR_FILENO);
    require(next >= 0 && close(next) == 0);
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(next) + left;
    require(setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewNumbers() { require(setrlimit(RLIMIT_NOFILE, &before) == 0); }
  rlimit before;
};

void take_handles(gipc_handle *h) {
  gipc_handle *taken;
  int result;
  size_t count = 0;
  while ((result = gipc_take_handle(h, &taken)) != -ENOENT &&
         result != -EMFILE) {
    require(++count <= GIPC_MOST_HANDLES);
    one_of(result, {0, -EINVAL, -EBADF});
    if (result != 0)
      continue;
    require(gipc_directions(taken) > 0);
    const void *data;
    size_t size;
    if ((gipc_directions(taken) & GIPC_READ) != 0)
      one_of(gipc_try_get(taken, &data, &size),
             {0, -EAGAIN, GIPC_EOF, GIPC_ETRUNCATED, GIPC_EPROTOCOL,
              GIPC_ETOOBIG});
    gipc_handle_free(taken);
  }
}

void take_fds(Input &input, gipc_handle *h) {
  int fds[GIPC_MOST_FDS];
  size_t room = input.below(4) == 0 ? input.below(5) : GIPC_MOST_FDS;
  int result = gipc_take_fds(h, fds, room);
  require(result == -EMSGSIZE || result == -EMFILE ||
          (result >= 0 && result <= static_cast<int>(room)));
  for (; result > 0; --result) {
    int fd = fds[result - 1];
    require(fd > 2 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    require(close(fd) == 0);
  }
}

int get(Input &input, gipc_handle *h, std::vector<unsigned char> &into) {
  const void *data;
  size_t size = 0;
  switch (input.below(4)) {
  case 0:
    return gipc_get_into(h, into.data(), into.size(), &size);
  case 1:
    return gipc_get(h, 0, &data, &size);
  case 2:
    return gipc_read_ahead(h) < 0 ? gipc_get_cancel(h) : -EAGAIN;
  default:
    return gipc_try_get(h, &data, &size);
  }
}

void receive(Input &input, gipc_handle *h, std::vector<unsigned char> &into) {
  int result;
  if (input.below(4) == 0) {
    FewNumbers few(input.below(5));
    result = get(input, h, into);
  } else {
    result = get(input, h, into);
  }
  one_of(result, {0, -EAGAIN, -ETIMEDOUT, -ENOMEM, GIPC_EOF, GIPC_ETRUNCATED,
                  GIPC_EPROTOCOL, GIPC_ETOOBIG, GIPC_ELOCKED});
  if (result != 0)
    return;
  size_t order = input.below(4);
  if (order == 0)
    take_fds(input, h);
  if (order != 1)
    take_handles(h);
  if (order != 3)
    take_fds(input, h);
}

} // namespace

extern "C" size_t cost_of_input() { return 5; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  constexpr size_t limit = 4096;
  size_t before = count_descriptors();
  {
    Input input{data, std::min<size_t>(size, 2000)};
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    gipc_handle *h;
    require(gipc_open(ends[0], ends[0], &h) == 0);
    require(gipc_set_limit(h, limit) == 0);
    std::vector<unsigned char> into(limit);
    Peer peer(ends[1]);
    while (!input.at_end())
      if (input.below(2) == 0)
        peer.act(input);
      else
        receive(input, h, into);
    gipc_handle_free(h);
  }
  require(count_descriptors() == before);
  return 0;
}
