// What fuzz targets share: a check, values from the input, open descriptors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>

// How many times more an input costs than those of most targets: the driver of
// `make check` makes so many times fewer.
extern "C" size_t cost_of_input();

inline void require(bool holds, const char *file = __builtin_FILE(),
                    int line = __builtin_LINE()) {
  if (holds)
    return;
  std::fprintf(stderr, "%s:%d: the requirement does not hold\n", file, line);
  std::abort();
}

// After its end, every value is 0.
struct Input {
  const uint8_t *data;
  size_t size;

  bool at_end() const { return size == 0; }
  uint8_t next() {
    if (size == 0)
      return 0;
    --size;
    return *data++;
  }
  size_t below(size_t bound) { return next() % bound; }
  // The next bytes, as many as there are.
  Input take(size_t most) {
    Input taken{data, most < size ? most : size};
    data += taken.size;
    size -= taken.size;
    return taken;
  }
};

// Number of descriptors that are open in this process.
inline size_t count_descriptors() {
  size_t count = 0;
  DIR *folder = opendir("/proc/self/fd");
  if (folder == nullptr)
    return 0;
  while (readdir(folder) != nullptr)
    ++count;
  closedir(folder);
  return count;
}
