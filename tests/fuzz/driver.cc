// Stands in for libFuzzer in `make check`: runs a fuzz target over its corpus
// and over pseudo-random inputs, the same ones each time.
#include <algorithm>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/utsname.h>
#include <vector>

#include "support.h"

extern "C" {
#include <cmocka.h>
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern "C" __attribute__((weak)) size_t cost_of_input() { return 1; }

namespace {

using Bytes = std::vector<uint8_t>;

std::vector<Bytes> corpus;

// xorshift64*: the same numbers on every system.
const uint64_t seed = 0x9e3779b97f4a7c15;
uint64_t state = seed;

size_t below(size_t bound) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (state * 0x2545f4914f6cdd1d >> 33) % bound;
}

uint8_t byte() {
  // Edge values are where lengths go wrong.
  static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
  return below(2) ? edges[below(sizeof edges)]
                  : static_cast<uint8_t>(below(256));
}

Bytes noise() {
  Bytes input(below(below(8) ? 64 : 4096));
  for (auto &b : input)
    b = byte();
  return input;
}

// A corpus file with some bytes changed, cut off, or added.
Bytes mutant() {
  Bytes input = corpus[below(corpus.size())];
  for (size_t n = 1 + below(8); n > 0 && !input.empty(); n--)
    input[below(input.size())] = byte();
  if (below(4) == 0)
    input.resize(below(input.size() + 1));
  if (below(4) == 0)
    for (uint8_t b : noise())
      input.push_back(b);
  return input;
}

void run(const Bytes &input) {
  // An exact copy, so that a sanitizer sees a read past the end.
  auto *copy = static_cast<uint8_t *>(std::malloc(input.size()));
  assert_true(copy != nullptr || input.empty());
  std::copy(input.begin(), input.end(), copy);
  LLVMFuzzerTestOneInput(copy, input.size());
  std::free(copy);
}

void the_corpus_runs_clean(void **) {
  assert_false(corpus.empty());
  for (const Bytes &input : corpus)
    run(input);
}

void pseudo_random_inputs_run_clean(void **) {
  const char *count = std::getenv("GIPC_FUZZ_INPUTS");
  long n = count                           ? std::atol(count)
           : std::getenv("GIPC_TEST_SLOW") ? 2000
                                           : 20000;
  n = 1 + n / static_cast<long>(cost_of_input());
  utsname kernel{};
  (void)uname(&kernel);
  print_message("%ld inputs from seed 0x%jx, %s %s\n", n,
                static_cast<uintmax_t>(seed), kernel.sysname, kernel.release);
  for (; n > 0; n--)
    run(below(2) || corpus.empty() ? noise() : mutant());
}

} // namespace

// The corpus of fuzz_NAME is the folder CORPUS/NAME.
int main(int, char **argv) {
  std::string name = std::filesystem::path(argv[0]).filename();
  std::error_code none;
  for (const auto &entry : std::filesystem::directory_iterator(
           std::string(CORPUS "/") + name.substr(name.find('_') + 1), none)) {
    std::ifstream file(entry.path(), std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file),
                        std::istreambuf_iterator<char>());
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_corpus_runs_clean),
      cmocka_unit_test(pseudo_random_inputs_run_clean),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
