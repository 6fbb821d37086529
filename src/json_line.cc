// One JSON object on a line, in memory of a fixed size.
#include "json_line.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace gipc {

namespace {

// The length of the character at the beginning, or 0: it is not UTF-8 (RFC
// 3629: no longer than it needs to be, no surrogates, none above U+10FFFF).
size_t utf8_length(const char *text) noexcept {
  auto *at = reinterpret_cast<const unsigned char *>(text);
  unsigned first = at[0];
  size_t length = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;
  for (size_t i = 1; i < length; ++i)
    if ((at[i] & 0xc0) != 0x80) // also the end of the text
      return 0;
  bool wrong =
      (first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
      (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f);
  return wrong ? 0 : length;
}

} // namespace

void JsonLine::put(char c) noexcept {
  if (size_ < most)
    data_[size_++] = c;
}

void JsonLine::add(const char *text) noexcept {
  while (*text != '\0')
    put(*text++);
}

void JsonLine::key(const char *name) noexcept {
  put(size_ == 0 ? '{' : ',');
  put('"');
  add(name);
  add("\":");
}

JsonLine &JsonLine::word(const char *name, const char *value) noexcept {
  key(name);
  put('"');
  add(value);
  put('"');
  return *this;
}

template <typename T> static char *to_text(T value, char (&out)[24]) noexcept {
  *std::to_chars(out, out + sizeof out - 1, value).ptr = '\0';
  return out;
}

JsonLine &JsonLine::number(const char *name, int64_t value) noexcept {
  char digits[24];
  key(name);
  add(to_text(value, digits));
  return *this;
}

JsonLine &JsonLine::number(const char *name, uint64_t value) noexcept {
  char digits[24];
  key(name);
  add(to_text(value, digits));
  return *this;
}

// Not by printf(3), whose decimal point depends on the locale.
JsonLine &JsonLine::seconds(const char *name, double value) noexcept {
  constexpr uint64_t million = 1000000;
  auto microseconds = static_cast<uint64_t>(std::llround(value * 1e6));
  char digits[24];
  number(name, microseconds / million);
  to_text(microseconds % million + million, digits);
  digits[0] = '.';
  add(digits);
  return *this;
}

// The number of bytes of the text that were added.
size_t JsonLine::add_character(const char *text) noexcept {
  constexpr const char *hex = "0123456789abcdef";
  auto c = static_cast<unsigned char>(*text);
  size_t length = utf8_length(text);
  if (length == 0) {
    add("\\ufffd");
    return 1;
  }
  if (c == '"' || c == '\\') {
    put('\\');
  } else if (c < 0x20) {
    add("\\u00");
    put(hex[c >> 4]);
    put(hex[c & 15]);
    return 1;
  }
  for (size_t i = 0; i < length; ++i)
    put(text[i]);
  return length;
}

JsonLine &JsonLine::text(const char *name, const char *value) noexcept {
  key(name);
  put('"');
  while (*value != '\0' && size_ < most - reserve)
    value += add_character(value);
  put('"');
  return *this;
}

const char *JsonLine::end() noexcept {
  put('}');
  put('\n');
  return data_;
}

} // namespace gipc
