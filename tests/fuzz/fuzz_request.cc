// Any packet to a template: it is not a request of this version, or it encodes
// to the same bytes and names no descriptor that did not come with it. (H58)
#include "os.h"
#include "support.h"
#include "template_request.h"

#include <cstring>
#include <string>
#include <vector>

using namespace gipc;

namespace {

// A request that an input describes.
std::string made(Input &input) {
  Request request;
  request.kind = static_cast<Request::Kind>(input.below(3));
  auto text = [&] {
    Input bytes = input.take(input.below(20));
    return std::string(reinterpret_cast<const char *>(bytes.data), bytes.size);
  };
  auto number = [&] { return static_cast<int>(input.next()) - 2; };
  request.data = text();
  Options &options = request.options;
  options.death_signal = number();
  options.cwd = text();
  while (input.below(3) == 1)
    options.environment.variables.push_back({text(), text()});
  for (Options::Stdio &one : options.files.stdio)
    one = {static_cast<int>(input.below(6)), number()};
  while (input.below(3) == 1)
    options.files.mapped.push_back({number(), number()});
  options.session = {static_cast<int>(input.below(5)), number()};
  if (input.below(2) == 1)
    options.files.kept = {number(), number()};
  if (input.below(2) == 1) {
    options.rights.user.emplace();
    options.rights.user->uid = static_cast<uid_t>(number());
  }
  while (input.below(3) == 1)
    request.handles.push_back({text(), number(), number()});
  return request.encode();
}

void decode(const std::string &bytes, int fd_count) {
  Request request;
  // Without the zero after a string, so that a read past the end is seen.
  std::vector<char> exact(bytes.begin(), bytes.end());
  if (!request.decode(exact.data(), exact.size(), fd_count))
    return;
  require(request.encode() == bytes);
  int numbers[os::most_sent];
  for (int i = 0; i < os::most_sent; ++i)
    numbers[i] = i < fd_count ? 1000 + i : -1;
  request.place(numbers);
  for (const Request::Sent &handle : request.handles)
    require(handle.fd >= 1000);
  for (const Options::Mapping &one : request.options.files.mapped)
    require(one.fd >= 1000);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Input input{data, size};
  int fd_count = 1 + static_cast<int>(input.below(os::most_sent));
  if (input.below(2) == 0) {
    decode({reinterpret_cast<const char *>(input.data), input.size}, fd_count);
    return 0;
  }
  std::string bytes = made(input);
  // Some of them changed, or cut off.
  for (size_t changes = input.below(4); changes > 0 && !bytes.empty();
       --changes)
    bytes[(input.next() << 8 | input.next()) % bytes.size()] =
        static_cast<char>(input.next());
  if (input.below(8) == 7)
    bytes.resize(bytes.size() - input.below(bytes.size()));
  decode(bytes, fd_count);
  return 0;
}
