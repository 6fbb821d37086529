// What plain system calls reach, as a limit or a peer; see bench.h.
#include "bench.h"

#include <arpa/inet.h>
#include <cstdint>
#include <cstring>
#include <sys/uio.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr size_t coalesced = 64 * 1024;
constexpr size_t read_size = 256 * 1024;

// ---- The limit: framed bytes in writes of 64 KiB ----------------------------

void write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    auto sent = static_cast<size_t>(check(write(fd, data, size), "write"));
    data += sent;
    size -= sent;
  }
}

void read_frames(int fd, Progress progress) {
  std::vector<char> buffer(read_size);
  size_t begin = 0, end = 0;
  for (;;) {
    end += static_cast<size_t>(
        check(read(fd, buffer.data() + end, buffer.size() - end), "read"));
    while (end - begin >= 4) {
      uint32_t size;
      std::memcpy(&size, buffer.data() + begin, 4);
      size = ntohl(size);
      if (end - begin - 4 < size)
        break;
      touch(buffer.data() + begin + 4, size);
      begin += 4 + size;
      if (progress.one_more())
        return;
    }
    std::memmove(buffer.data(), buffer.data() + begin, end - begin);
    end -= begin;
    begin = 0;
  }
}

} // namespace

double limit(size_t size, Counts counts) {
  if (4 + size > coalesced)
    return not_measured;
  Socketpair pair;
  Child child(
      [&](int report) { read_frames(pair.fds[1], Progress(counts, report)); });
  std::vector<char> message(size, 'x'), buffer(coalesced);
  return rate(child, counts, [&](size_t count) {
    size_t used = 0;
    uint32_t header = htonl(static_cast<uint32_t>(size));
    while (count-- > 0) {
      if (coalesced - used < 4 + size) {
        write_all(pair.fds[0], buffer.data(), used);
        used = 0;
      }
      std::memcpy(buffer.data() + used, &header, 4);
      std::memcpy(buffer.data() + used + 4, message.data(), size);
      used += 4 + size;
    }
    write_all(pair.fds[0], buffer.data(), used);
  });
}

// ---- The naive way: one writev and two reads a message ----------------------

namespace {

void read_all(int fd, char *data, size_t size) {
  while (size > 0) {
    auto got = static_cast<size_t>(check(read(fd, data, size), "read"));
    data += got;
    size -= got;
  }
}

double naive_over(int reader, int writer, size_t size, Counts counts) {
  Child child([&](int report) {
    Progress progress(counts, report);
    std::vector<char> buffer(size);
    do {
      char header[4];
      read_all(reader, header, 4);
      uint32_t wire;
      std::memcpy(&wire, header, 4);
      read_all(reader, buffer.data(), ntohl(wire));
      touch(buffer.data(), size);
    } while (!progress.one_more());
  });
  std::vector<char> message(size, 'x');
  return rate(child, counts, [&](size_t count) {
    uint32_t header = htonl(static_cast<uint32_t>(size));
    while (count-- > 0) {
      iovec parts[] = {{&header, 4}, {message.data(), size}};
      check(writev(writer, parts, 2), "writev");
    }
  });
}

} // namespace

double naive(size_t size, Counts counts) {
  Socketpair pair;
  return naive_over(pair.fds[1], pair.fds[0], size, counts);
}

double naive_pipe(size_t size, Counts counts) {
  int fds[2];
  check(pipe(fds), "pipe");
  double result = naive_over(fds[0], fds[1], size, counts);
  close(fds[0]);
  close(fds[1]);
  return result;
}

// ---- Blocks of the same size, without a frame -------------------------------

namespace {

// Memory that was touched before, and is used for every message.
std::vector<char> block(size_t size) { return std::vector<char>(size, 'x'); }

} // namespace

double raw(size_t size, Counts counts) {
  Socketpair pair;
  Child child([&](int report) {
    std::vector<char> buffer = block(size);
    Progress progress(counts, report);
    do {
      for (size_t done = 0; done < size;)
        done += static_cast<size_t>(check(
            read(pair.fds[1], buffer.data() + done, size - done), "read"));
      touch(buffer.data(), size);
    } while (!progress.one_more());
  });
  std::vector<char> message = block(size);
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0)
      for (size_t done = 0; done < size;)
        done += static_cast<size_t>(check(
            write(pair.fds[0], message.data() + done, size - done), "write"));
  });
}

// ---- Round trips ------------------------------------------------------------

double plain_round_trip(size_t size, Counts counts) {
  Socketpair pair;
  std::vector<char> data(size + 4);
  Child child([&](int report) {
    Progress progress(counts, report);
    do {
      read_all(pair.fds[1], data.data(), data.size());
      write_all(pair.fds[1], data.data(), data.size());
    } while (!progress.one_more());
  });
  return rate(child, counts, [&](size_t count) {
    while (count-- > 0) {
      write_all(pair.fds[0], data.data(), data.size());
      read_all(pair.fds[0], data.data(), data.size());
    }
  });
}

} // namespace bench
