// What the tests of the inbox share: frames, and how bytes get in and out.
#pragma once

#include "support.h"

#include "frame.h"
#include "inbox.h"

#include <algorithm>
#include <string>
#include <vector>

using gipc::Inbox;
using gipc::View;
namespace frame = gipc::frame;

using Messages = std::vector<std::string>;
constexpr size_t no_limit = GIPC_UNLIMITED;

inline std::string frame_of(const std::string &payload,
                            bool long_form = false) {
  unsigned char header[frame::long_header];
  size_t size = frame::encode(payload.size(), header);
  if (long_form) {
    frame::store32(header, 0xffffffff);
    frame::store32(header + 4, 0);
    frame::store32(header + 8, static_cast<uint32_t>(payload.size()));
    size = frame::long_header;
  }
  return std::string(reinterpret_cast<char *>(header), size) + payload;
}

inline std::string bytes(size_t size, uint64_t seed) {
  std::string out(size, '\0');
  fill(&out[0], size, seed);
  return out;
}

// Hands over as a kernel would: at most what there is room for.
inline size_t feed(Inbox &inbox, const char *data, size_t size) {
  iovec areas[2];
  int count = inbox.prepare(areas);
  assert_true(count == 1 || count == 2);
  assert_true(areas[0].iov_len > 0); // an empty read would look like an end
  size_t fed = 0;
  for (int i = 0; i < count && fed < size; ++i) {
    size_t part = std::min(areas[i].iov_len, size - fed);
    memcpy(areas[i].iov_base, data + fed, part);
    fed += part;
  }
  inbox.commit(fed);
  return fed;
}

inline void take_all(Inbox &inbox, Messages &out) {
  View view;
  bool ready;
  int result;
  while ((ready = inbox.ready(no_limit)),
         (result = inbox.next(no_limit, view)) == 0) {
    assert_true(ready);
    assert_non_null(view.data);
    out.emplace_back(static_cast<const char *>(view.data), view.size);
  }
  assert_int_equal(result, -EAGAIN);
  assert_false(ready);
}

inline void feed_all(Inbox &inbox, const std::string &stream, Messages &out) {
  for (size_t at = 0; at < stream.size();) {
    at += feed(inbox, stream.data() + at, stream.size() - at);
    take_all(inbox, out);
  }
}
