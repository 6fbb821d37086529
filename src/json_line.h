// One JSON object on a line, in memory of a fixed size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits.h>

namespace gipc {

class JsonLine {
public:
  // POSIX: a write of at most PIPE_BUF bytes to a pipe is never mixed with
  // another one.
  static constexpr size_t most = PIPE_BUF < 1024 ? PIPE_BUF : 1024;

  // Keys and words are text that needs no escapes, and few and short: only
  // text() has a length that the program chose, and is cut to fit.
  JsonLine &word(const char *key, const char *value) noexcept;
  JsonLine &number(const char *key, int64_t value) noexcept;
  JsonLine &number(const char *key, uint64_t value) noexcept;
  JsonLine &number(const char *key, int value) noexcept {
    return number(key, int64_t{value});
  }
  // To a microsecond.
  JsonLine &seconds(const char *key, double value) noexcept;
  // As UTF-8; a byte that is none becomes U+FFFD.
  JsonLine &text(const char *key, const char *value) noexcept;

  // The whole line; nothing is added after it.
  const char *end() noexcept;
  size_t size() const noexcept { return size_; }

private:
  // For what follows a text, and the end of the line.
  static constexpr size_t reserve = 224;

  void put(char c) noexcept;
  void add(const char *text) noexcept;
  void key(const char *name) noexcept;
  size_t add_character(const char *text) noexcept;

  char data_[most];
  size_t size_ = 0;
};

} // namespace gipc
