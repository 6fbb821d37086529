// What the template process is asked for: one packet, with descriptors.
#include "template_request.h"

#include "gipc.h"

#include <cstring>
#include <type_traits>

namespace gipc {

namespace {

class Writer {
public:
  template <typename T> void value(const T &one) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char *>(&one), sizeof one);
  }
  void text(const std::string &one) {
    value(one.size());
    bytes.append(one);
  }
  template <typename T, typename Each>
  void list(const std::vector<T> &all, Each each) {
    value(all.size());
    for (const T &one : all)
      each(one);
  }
  template <typename T, typename Each>
  void option(const std::optional<T> &one, Each each) {
    value(one.has_value());
    if (one)
      each(*one);
  }

  std::string bytes;
};

class Reader {
public:
  Reader(const void *data, size_t size)
      : at_(static_cast<const char *>(data)), left_(size) {}
  template <typename T> void value(T &one) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (const char *from = take(sizeof one))
      std::memcpy(&one, from, sizeof one);
  }
  // Not every byte is a bool.
  void value(bool &one) {
    unsigned char byte = 0;
    value(byte);
    right = right && byte <= 1;
    one = byte == 1;
  }
  void text(std::string &one) {
    size_t size = 0;
    value(size);
    if (const char *from = take(size))
      one.assign(from, size);
  }
  template <typename T, typename Each>
  void list(std::vector<T> &all, Each each) {
    size_t count = 0;
    value(count);
    for (; right && count > 0; --count) {
      all.emplace_back();
      each(all.back());
    }
  }
  template <typename T, typename Each>
  void option(std::optional<T> &one, Each each) {
    bool is_set = false;
    value(is_set);
    if (is_set)
      each(one.emplace());
  }

  bool at_end() const { return left_ == 0; }

  bool right = true;

private:
  const char *take(size_t size) {
    right = right && size <= left_;
    if (!right)
      return nullptr;
    left_ -= size;
    const char *from = at_;
    at_ += size;
    return from;
  }

  const char *at_;
  size_t left_;
};

// The same fields in the same order for both.
template <typename Archive, typename Options>
void visit_options(Archive &to, Options &o) {
  auto value = [&](auto &one) { to.value(one); };
  auto text = [&](auto &one) { to.text(one); };
  value(o.death_signal);
  text(o.cwd);
  value(o.environment.clear);
  to.list(o.environment.variables, [&](auto &variable) {
    text(variable.name);
    to.option(variable.value, text);
  });
  for (auto &one : o.files.stdio)
    value(one);
  to.list(o.files.mapped, value);
  to.option(o.files.kept, [&](auto &kept) { to.list(kept, value); });
  value(o.session);
  to.option(o.rights.umask, value);
  value(o.rights.nice);
  to.option(o.rights.user, [&](auto &user) {
    to.option(user.uid, value);
    to.option(user.gid, value);
    to.option(user.groups, [&](auto &groups) { to.list(groups, value); });
  });
  value(o.rights.no_new_privileges);
  to.list(o.rights.limits, value);
  to.list(o.blocked_signals, value);
}

template <typename Archive, typename Request>
void visit(Archive &to, Request &request) {
  to.value(request.target);
  to.value(request.argument);
  to.text(request.data);
  visit_options(to, request.options);
  to.text(request.cgroup);
  to.list(request.handles, [&](auto &handle) {
    to.text(handle.name);
    to.value(handle.fd);
    to.value(handle.direction);
  });
}

// Those that a request names by their index.
template <typename Each>
void each_descriptor(Request &request, Each each) noexcept {
  for (Options::Stdio &one : request.options.files.stdio)
    if (one.mode == GIPC_STDIO_FD)
      each(one.fd);
  for (Options::Mapping &one : request.options.files.mapped)
    each(one.fd);
  if (request.options.session.terminal >= 0)
    each(request.options.session.terminal);
  for (Request::Sent &handle : request.handles)
    each(handle.fd);
}

// What is the same in every program that has this version.
constexpr size_t mark = GIPC_VERSION << 12 | sizeof(Options);

} // namespace

void Request::place(const int *numbers) noexcept {
  each_descriptor(*this, [&](int &fd) { fd = numbers[fd]; });
}

std::string Request::encode() const {
  Writer writer;
  writer.value(kind);
  writer.value(mark);
  visit(writer, *this);
  return std::move(writer.bytes);
}

bool Request::decode(const void *from, size_t size, int fd_count) {
  Reader reader(from, size);
  size_t seen = 0;
  reader.value(kind);
  reader.value(seen);
  if (!reader.right || seen != mark)
    return false;
  visit(reader, *this);
  bool right =
      reader.right && reader.at_end() && kind >= function && kind <= twin;
  each_descriptor(*this, [&](int fd) { right &= fd >= 0 && fd < fd_count; });
  return right;
}

} // namespace gipc
