// Linux: cgroups of version 2, and processes that adopt what others leave.
#include "os_common.h"

#include "sys.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace gipc::os {

namespace {

constexpr size_t path_room = 4096;

int open_file(const char *path, int flags, Fd &out) noexcept {
  int fd =
      sys::retry_int("open", [&] { return ::open(path, flags | O_CLOEXEC); });
  if (fd < 0)
    return fd;
  out.reset(fd);
  return sys::above_stdio(out);
}

// A short file of /proc or of a cgroup, as text: its length.
int read_text(const char *path, char *text, size_t room) noexcept {
  Fd file;
  if (int error = open_file(path, O_RDONLY, file))
    return error;
  size_t length = 0;
  while (length + 1 < room) {
    ssize_t size = sys::retry("read", [&] {
      return ::read(file.get(), text + length, room - 1 - length);
    });
    if (size < 0)
      return static_cast<int>(size);
    if (size == 0)
      break;
    length += static_cast<size_t>(size);
  }
  text[length] = '\0';
  return static_cast<int>(length);
}

// 0, or an error: nothing is cut.
__attribute__((format(printf, 3, 4))) int
print(char *text, size_t room, const char *format, ...) noexcept {
  va_list values;
  va_start(values, format);
  int size = std::vsnprintf(text, room, format, values);
  va_end(values);
  return size >= 0 && static_cast<size_t>(size) < room ? 0 : -ENAMETOOLONG;
}

// ---- Where the cgroup of this process is ------------------------------------

// Of a line of /proc/self/mountinfo: the root that is mounted, and where.  A
// name with a special character has a backslash there.
bool is_cgroup2(char *line, const char *&root, const char *&place) noexcept {
  char *type = std::strstr(line, " - cgroup2 ");
  if (type == nullptr)
    return false;
  *type = '\0';
  char *rest = nullptr;
  char *field = ::strtok_r(line, " ", &rest); // its number
  for (int i = 0; i < 3 && field != nullptr; ++i)
    field = ::strtok_r(nullptr, " ", &rest);
  root = field;
  place = ::strtok_r(nullptr, " ", &rest);
  return root != nullptr && place != nullptr &&
         std::strchr(root, '\\') == nullptr &&
         std::strchr(place, '\\') == nullptr;
}

int find_mount(char *text, size_t room, const char *&root,
               const char *&place) noexcept {
  int size = read_text("/proc/self/mountinfo", text, room);
  if (size < 0)
    return size;
  char *rest = nullptr;
  for (char *line = ::strtok_r(text, "\n", &rest); line != nullptr;
       line = ::strtok_r(nullptr, "\n", &rest))
    if (is_cgroup2(line, root, place))
      return 0;
  return -ENOENT;
}

int own_cgroup(char *path, size_t room) noexcept {
  if (int error = check_proc())
    return error; // the processes of a tree could not be listed
  constexpr size_t most = 64 * 1024;
  void *memory;
  if (int error = sys::map_memory(most, MAP_PRIVATE, memory))
    return error;
  auto *mounts = static_cast<char *>(memory);
  char text[path_room];
  const char *root = nullptr, *place = nullptr;
  int error = find_mount(mounts, most, root, place);
  if (error == 0)
    error = std::min(read_text("/proc/self/cgroup", text, sizeof text), 0);
  char *own = error == 0 ? std::strstr(text, "0::/") : nullptr;
  if (own != nullptr && (own == text || own[-1] == '\n')) {
    own += std::strlen("0::");
    own[std::strcspn(own, "\n")] = '\0';
    // Where a part of the tree is mounted, that part is named in both.
    size_t size = std::strcmp(root, "/") == 0 ? 0 : std::strlen(root);
    if (std::strncmp(own, root, size) == 0 &&
        (own[size] == '/' || own[size] == '\0'))
      error = print(path, room, "%s%s", place,
                    std::strcmp(own + size, "/") == 0 ? "" : own + size);
    else
      error = -ENOENT;
  } else if (error == 0) {
    error = -ENOENT;
  }
  ::munmap(memory, most);
  return error;
}

// ---- Cgroups ----------------------------------------------------------------

constexpr char prefix[] = "gipc-";
constexpr int most_names = 100; // where others take each for an abandoned one

int lock_file(int fd, int how) noexcept {
  return sys::retry_int("flock", [&] { return ::flock(fd, how); });
}

int remove_folder(const char *path) noexcept {
  return sys::retry_int("rmdir", [&] { return ::rmdir(path); });
}

int write_text(const char *folder, const char *name,
               const char *text) noexcept {
  char path[path_room];
  Fd file;
  int error = print(path, sizeof path, "%s/%s", folder, name);
  if (error == 0)
    error = open_file(path, O_WRONLY, file);
  if (error != 0)
    return error;
  ssize_t size = sys::retry(
      "write", [&] { return ::write(file.get(), text, std::strlen(text)); });
  return size < 0 ? static_cast<int>(size) : 0;
}

// Calls visit(path) for each cgroup below one.
template <typename Visit> void each_below(const char *path, Visit &&visit) {
  sys::ErrnoGuard guard;
  DIR *folder = nullptr;
  (void)sys::retry_int("opendir", [&] {
    folder = ::opendir(path);
    return folder != nullptr ? 0 : -1;
  });
  if (folder == nullptr)
    return;
  char below[path_room];
  dirent *entry = nullptr;
  while (sys::retry_int("readdir",
                        [&] {
                          entry = ::readdir(folder);
                          return 0;
                        }) == 0 &&
         entry != nullptr)
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
        print(below, sizeof below, "%s/%s", path, entry->d_name) == 0)
      visit(below, entry->d_name);
  ::closedir(folder);
}

// What is there of trees whose guard was killed together with its parent.
void remove_abandoned(const char *path) noexcept {
  each_below(path, [](const char *below, const char *name) {
    Fd folder;
    if (std::strncmp(name, prefix, sizeof prefix - 1) != 0 ||
        open_file(below, O_RDONLY | O_DIRECTORY, folder) != 0 ||
        lock_file(folder.get(), LOCK_EX | LOCK_NB) != 0)
      return;
    (void)kill_cgroup(below);
    (void)remove_cgroup(below); // or the next one does
  });
}

// Whether the folder is still there under this name.
bool is_at(int folder, const char *path) noexcept {
  struct stat there, here;
  return sys::fstat(folder, &here) == 0 &&
         sys::retry_int("stat", [&] { return ::stat(path, &there); }) == 0 &&
         here.st_ino == there.st_ino;
}

int make_one(const char *path, Fd &lock) noexcept {
  int error = sys::retry_int("mkdir", [&] { return ::mkdir(path, S_IRWXU); });
  if (error != 0)
    return error;
  error = lock_cgroup(path, lock);
  char kill[path_room];
  if (error == -EAGAIN || error == -ENOENT ||
      (error == 0 && !is_at(lock.get(), path)))
    error = -EEXIST; // taken for an abandoned one: another name
  if (error == 0)
    error = print(kill, sizeof kill, "%s/cgroup.kill", path);
  if (error == 0) // since Linux 5.14
    error = sys::retry_int("access", [&] { return ::access(kill, W_OK); });
  if (error != 0)
    (void)remove_folder(path);
  return error;
}

} // namespace

int make_cgroup(char *path, size_t room, Fd &lock) noexcept {
  static std::atomic<int> looked{0}; // who has looked for abandoned ones
  char own[path_room];
  if (int error = own_cgroup(own, sizeof own))
    return error;
  if (looked.exchange(::getpid()) != ::getpid())
    remove_abandoned(own);
  for (int tries = most_names;; --tries) {
    // A process ID is reused, and is in several namespaces: a name that comes
    // again would be removed, or killed, for the one that had it before.
    timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    int error = print(path, room, "%s/%s%d-%lld.%09ld", own, prefix, ::getpid(),
                      static_cast<long long>(now.tv_sec), now.tv_nsec);
    if (error == 0)
      error = make_one(path, lock);
    if (error != -EEXIST || tries == 1)
      return error;
  }
}

int lock_cgroup(const char *path, Fd &lock) noexcept {
  int error = open_file(path, O_RDONLY | O_DIRECTORY, lock);
  if (error == 0)
    error = lock_file(lock.get(), LOCK_SH | LOCK_NB);
  if (error != 0)
    lock.reset(); // others take it for an abandoned one, and kill all in it
  return error;
}

int enter_cgroup(const char *path) noexcept {
  return write_text(path, "cgroup.procs", "0");
}

int kill_cgroup(const char *path) noexcept {
  char file[path_room], text[path_room];
  int size = print(file, sizeof file, "%s/cgroup.procs", path);
  if (size == 0)
    size = read_text(file, text, sizeof text);
  int error = write_text(path, "cgroup.kill", "1");
  if (error != 0)
    return error;
  return size <= 0 ? 0 : static_cast<int>(std::count(text, text + size, '\n'));
}

int remove_cgroup(const char *path) noexcept {
  // A tree may have had trees of its own, whose guards were killed with it.
  each_below(path, [](const char *below, const char *) {
    (void)remove_cgroup(below);
  });
  int error = remove_folder(path);
  return error == -ENOENT ? 0 : error;
}

// ---- Adopted processes ------------------------------------------------------

int become_subreaper() noexcept {
  int error = sys::retry_int(
      "prctl", [] { return ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); });
  pid_t child;
  return error != 0 ? error : std::min(list_children(&child, 1), 0);
}

void continue_without_parent() noexcept {
  (void)sys::retry_int(
      "prctl", [] { return ::prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0); });
}

void die_with_parent(pid_t parent) noexcept {
  (void)sys::retry_int(
      "prctl", [] { return ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); });
  if (::getppid() != parent)
    _exit(127); // it has ended already
}

int wait_for_child(int socket, int milliseconds) noexcept {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGCHLD);
  timespec time{milliseconds / 1000, milliseconds % 1000 * 1000000L};
  pollfd peer{socket, 0, 0};
  int result = sys::retry_int("ppoll", [&] {
    int ready = ::ppoll(&peer, 1, milliseconds < 0 ? nullptr : &time, &all);
    return ready < 0 && errno == EINTR ? 0 : ready;
  });
  return result > 0 ? 1 : 0;
}

namespace {

struct Stat {
  pid_t pid, parent;
  unsigned long long start;
};

// Of /proc/PID/stat.  The name of the program, in brackets, may have any
// character.
int read_stat(pid_t pid, Stat &out) noexcept {
  char path[32], text[1024];
  (void)print(path, sizeof path, "/proc/%d/stat", pid);
  int size = read_text(path, text, sizeof text);
  if (size < 0)
    return size;
  const char *rest = std::strrchr(text, ')');
  out.pid = pid;
  return rest != nullptr &&
                 std::sscanf(rest,
                             ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u "
                             "%*u %*d %*d %*d %*d %*d %*d %llu",
                             &out.parent, &out.start) == 2
             ? 0
             : -EPROTO;
}

// Calls visit(pid) for each process there is.
template <typename Visit> int each_process(Visit &&visit) noexcept {
  sys::ErrnoGuard guard;
  if (int error = check_proc())
    return error;
  DIR *folder = nullptr;
  if (int error = sys::retry_int("opendir", [&] {
        folder = ::opendir("/proc");
        return folder != nullptr ? 0 : -1;
      }))
    return error;
  dirent *entry = nullptr;
  int count = 0, error;
  while ((error = sys::retry_int("readdir",
                                 [&] {
                                   errno = 0; // which the end leaves
                                   entry = ::readdir(folder);
                                   return errno == 0 ? 0 : -1;
                                 })) == 0 &&
         entry != nullptr)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
      ++count;
      visit(std::atoi(entry->d_name));
    }
  ::closedir(folder);
  return error != 0 ? error : count > 0 ? 0 : -ENOENT; // /proc is not mounted
}

} // namespace

namespace {

// Numbers with a space after each, of any length of text.
class Numbers {
public:
  Numbers(pid_t *out, size_t room) : out_(out), room_(room) {}
  void add(pid_t number) noexcept {
    if (count_ == room_)
      count_ = 0;
    out_[count_++] = number;
    most_ = std::max(most_, count_);
  }
  void read(const char *text, size_t size) noexcept {
    for (const char *at = text; at < text + size; ++at)
      if (*at >= '0' && *at <= '9') {
        number_ = 10 * number_ + (*at - '0');
      } else if (number_ > 0) {
        add(number_);
        number_ = 0;
      }
  }
  // Puts those that were added last to the end.
  int finish() noexcept {
    std::rotate(out_, out_ + (count_ < most_ ? count_ : 0), out_ + most_);
    return static_cast<int>(most_);
  }

private:
  pid_t *out_;
  size_t room_, count_ = 0, most_ = 0;
  pid_t number_ = 0;
};

} // namespace

int list_children(pid_t *children, size_t room) noexcept {
  char path[64], text[4096];
  pid_t own = ::getpid();
  Numbers numbers(children, room);
  Fd file;
  if (int error = check_proc())
    return error;
  (void)print(path, sizeof path, "/proc/%d/task/%d/children", own, own);
  if (open_file(path, O_RDONLY, file) != 0) {
    // A kernel without CONFIG_PROC_CHILDREN.
    int error = each_process([&](pid_t pid) {
      Stat stat;
      if (read_stat(pid, stat) == 0 && stat.parent == own)
        numbers.add(pid);
    });
    return error != 0 ? error : numbers.finish();
  }
  ssize_t size;
  while ((size = sys::retry("read", [&] {
            return ::read(file.get(), text, sizeof text);
          })) > 0)
    numbers.read(text, static_cast<size_t>(size));
  return size < 0 ? static_cast<int>(size) : numbers.finish();
}

bool is_child_of(pid_t pid, pid_t parent) noexcept {
  Stat stat;
  if (check_proc() != 0)
    return true;
  int error = read_stat(pid, stat);
  return error == 0 ? stat.parent == parent
                    : error != -ENOENT && error != -ESRCH;
}

namespace {

constexpr size_t most_processes = 1 << 16;

// Through a descriptor that was there when the process was the same as before:
// no other process that has its number gets the signal.
int signal_same(const Stat &known, int signal) noexcept {
  Fd exit_fd;
  Stat now;
  int error = open_exit_fd(known.pid, exit_fd);
  bool has_fd = error == 0;
  if (error == -ESRCH)
    return error;
  error = read_stat(known.pid, now);
  if (error != 0 || now.start != known.start)
    return -ESRCH;
  if (has_fd)
    error = signal_by_exit_fd(exit_fd.get(), signal);
  return has_fd && (error == 0 || error == -ESRCH)
             ? error
             : sys::kill(known.pid, signal);
}

} // namespace

int signal_descendants(pid_t child, int signal) noexcept {
  void *memory;
  if (int error = sys::map_memory(most_processes * sizeof(Stat),
                                  MAP_PRIVATE | MAP_NORESERVE, memory))
    return error;
  auto *table = static_cast<Stat *>(memory);
  auto *end = table;
  int error = each_process([&](pid_t pid) {
    if (end < table + most_processes && read_stat(pid, *end) == 0)
      ++end;
  });
  // Those that are known to descend from it come first.
  auto *known = table;
  for (auto *parent = table; error == 0; ++parent) {
    pid_t number = parent == table ? child : parent[-1].pid;
    known = std::partition(
        known, end, [&](const Stat &one) { return one.parent == number; });
    if (parent == known)
      break;
  }
  int count = 0;
  for (auto *one = table; one < known; ++one)
    if (signal_same(*one, signal) == 0)
      ++count;
  ::munmap(memory, most_processes * sizeof(Stat));
  return error != 0 ? error : count;
}

} // namespace gipc::os
