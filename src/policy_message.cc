// The messages between a pool and its workers.
#include "policy_message.h"

#include <cstring>
#include <limits>

namespace gipc::policy {
namespace {

// What a message of each kind consists of after its first byte.
struct Layout {
  bool version, task, attempt, texts, data;
};

bool find_layout(int kind, Layout &out) noexcept {
  switch (kind) {
  case GIPC_MESSAGE_TASK:
    out = {false, true, true, false, true};
    return true;
  case GIPC_MESSAGE_READY:
    out = {true, false, false, false, false};
    return true;
  case GIPC_MESSAGE_ALIVE:
    out = {false, false, false, false, false};
    return true;
  case GIPC_MESSAGE_DONE:
    out = {false, true, false, false, true};
    return true;
  case GIPC_MESSAGE_FAILED:
    out = {false, true, false, true, true};
    return true;
  default:
    return false;
  }
}

// Takes from the bytes of a message; failed once it has fewer than asked for.
struct Input {
  const unsigned char *at;
  size_t left;
  bool failed = false;

  const unsigned char *take(size_t size) noexcept {
    failed |= size > left;
    if (failed)
      return nullptr;
    const unsigned char *taken = at;
    at += size;
    left -= size;
    return taken;
  }
  uint64_t number(size_t size) noexcept {
    uint64_t value = 0;
    if (const unsigned char *bytes = take(size))
      for (size_t i = 0; i < size; ++i)
        value = value << 8 | bytes[i];
    return value;
  }
  gipc_text text() noexcept {
    auto size = static_cast<size_t>(number(4));
    const unsigned char *bytes = take(size);
    return {reinterpret_cast<const char *>(bytes), failed ? 0 : size};
  }
};

struct Output {
  unsigned char *at;

  void bytes(const void *from, size_t size) noexcept {
    if (size > 0)
      std::memcpy(at, from, size);
    at += size;
  }
  void number(uint64_t value, size_t size) noexcept {
    for (size_t i = size; i > 0; value >>= 8)
      at[--i] = static_cast<unsigned char>(value);
    at += size;
  }
  void text(const gipc_text &text) noexcept {
    number(text.size, 4);
    bytes(text.data, text.size);
  }
};

} // namespace

int decode(const unsigned char *data, size_t size,
           gipc_worker_message &out) noexcept {
  Input in{data, size};
  gipc_worker_message read{};
  Layout layout{};
  read.kind = static_cast<int>(in.number(1));
  if (in.failed || !find_layout(read.kind, layout))
    return GIPC_EPROTOCOL;
  if (layout.version && in.number(1) != message_version)
    return GIPC_EPROTOCOL;
  if (layout.task)
    read.task = in.number(8);
  if (layout.attempt)
    read.attempt = static_cast<uint32_t>(in.number(4));
  if (layout.texts) {
    read.type = in.text();
    read.text = in.text();
    read.trace = in.text();
  }
  if (in.failed || (!layout.data && in.left > 0))
    return GIPC_EPROTOCOL;
  read.data = in.at;
  read.data_size = in.left;
  out = read;
  return 0;
}

size_t encoded_size(const gipc_worker_message &message) noexcept {
  Layout layout{};
  if (!find_layout(message.kind, layout))
    return 0;
  size_t size = 1 + (layout.version ? 1 : 0) + (layout.task ? 8 : 0) +
                (layout.attempt ? 4 : 0);
  size_t rest[] = {message.type.size, message.text.size, message.trace.size,
                   message.data_size};
  constexpr size_t texts = 3;
  for (size_t i = layout.texts ? 0 : texts; i < (layout.data ? 4 : texts);
       ++i) {
    size_t prefix = i < texts ? 4 : 0;
    if ((i < texts && rest[i] > std::numeric_limits<uint32_t>::max()) ||
        rest[i] > std::numeric_limits<size_t>::max() - prefix - size)
      return 0;
    size += prefix + rest[i];
  }
  return size;
}

void encode(const gipc_worker_message &message, unsigned char *to) noexcept {
  Output out{to};
  Layout layout{};
  find_layout(message.kind, layout);
  out.number(static_cast<uint64_t>(message.kind), 1);
  if (layout.version)
    out.number(message_version, 1);
  if (layout.task)
    out.number(message.task, 8);
  if (layout.attempt)
    out.number(message.attempt, 4);
  if (layout.texts) {
    out.text(message.type);
    out.text(message.text);
    out.text(message.trace);
  }
  if (layout.data)
    out.bytes(message.data, message.data_size);
}

void set_attempt(unsigned char *task, uint32_t attempt) noexcept {
  Output out{task + 9}; // after the kind and the task
  out.number(attempt, 4);
}

} // namespace gipc::policy
