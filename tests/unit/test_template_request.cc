// What a template process is asked for: a request that is cut is none.
#include "support.h"

#include "template_request.h"

#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

using namespace gipc;

namespace {

// Bytes at whose end memory ends, too.
class Guarded {
public:
  Guarded() {
    void *pages = mmap(nullptr, size_ + page_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    begin_ = static_cast<char *>(pages);
    OK(mprotect(begin_ + size_, page_, PROT_NONE));
  }
  Guarded(const Guarded &) = delete;
  Guarded &operator=(const Guarded &) = delete;
  ~Guarded() { munmap(begin_, size_ + page_); }

  const char *copy(const std::string &bytes, size_t size) {
    assert_true(size <= size_);
    char *at = begin_ + size_ - size;
    std::memcpy(at, bytes.data(), size);
    return at;
  }

private:
  size_t page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t size_ = page_;
  char *begin_;
};

Request full_request() {
  Request request;
  request.kind = Request::bytes;
  request.data = "data";
  request.cgroup = "a group";
  request.handles = {{"name", 0, GIPC_READ}, {"", 1, GIPC_WRITE}};
  Options &options = request.options;
  options.cwd = "/";
  options.environment.variables = {{"NAME", "value"}, {"OTHER", {}}};
  options.files.kept = {3, 4};
  options.rights.user.emplace();
  options.rights.user->groups.emplace(3, 7);
  options.blocked_signals = {1, 2};
  return request;
}

void a_request_is_what_it_was(void **) {
  const std::string bytes = full_request().encode();
  Request request;
  assert_true(request.decode(bytes.data(), bytes.size(), 2));
  assert_true(request.encode() == bytes);
  assert_string_equal(request.handles[0].name.c_str(), "name");
  // It names two descriptors.
  assert_false(Request().decode(bytes.data(), bytes.size(), 1));
}

void a_request_cut_anywhere_is_refused(void **) { // H58
  Guarded memory;
  const std::string bytes = full_request().encode();
  for (size_t size = 0; size < bytes.size(); ++size)
    assert_false(Request().decode(memory.copy(bytes, size), size, 2));
  const std::string longer = bytes + '\0';
  assert_false(
      Request().decode(memory.copy(longer, longer.size()), longer.size(), 2));
}

void a_size_beyond_the_end_is_refused(void **) { // H58
  Guarded memory;
  const std::string bytes = full_request().encode();
  // Each place may be that of a size.
  for (size_t at = 0; at + sizeof(size_t) <= bytes.size(); ++at) {
    std::string changed = bytes;
    std::memset(&changed[at], 0xff, sizeof(size_t));
    Request request;
    if (request.decode(memory.copy(changed, changed.size()), changed.size(), 2))
      assert_true(request.encode() == changed);
  }
}

} // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_what_it_was),
      cmocka_unit_test(a_request_cut_anywhere_is_refused),
      cmocka_unit_test(a_size_beyond_the_end_is_refused),
  };
  return cmocka_run_group_tests_name("template request", tests, nullptr,
                                     nullptr);
}
