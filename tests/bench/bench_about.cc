// What the figures belong to: the machine, the library, the ways it takes.
#include "bench.h"

#include "gipc.h"

#include <cstdio>
#include <cstring>
#include <ev.h>
#include <sched.h>
#include <string>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

using namespace bench;

namespace {

std::string processor() {
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (file == nullptr)
    return "unknown";
  char line[256], name[200] = "unknown";
  while (fgets(line, sizeof line, file) != nullptr &&
         std::sscanf(line, "model name : %199[^\n]", name) != 1) {
  }
  fclose(file);
  return name;
}

int option(int fd, int which) {
  int value = -1;
  socklen_t size = sizeof value;
  (void)getsockopt(fd, SOL_SOCKET, which, &value, &size);
  return value;
}

std::string transport() {
  gipc_handle *reader, *writer;
  must(gipc_pipe(&reader, &writer), "pipe");
  int fd = must(gipc_fd(writer, GIPC_WRITE), "fd");
  std::string text =
      option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) == SOCK_STREAM
          ? "AF_UNIX stream socketpair, SO_SNDBUF " +
                std::to_string(option(fd, SO_SNDBUF))
          : "no AF_UNIX stream";
  gipc_handle_free(reader);
  gipc_handle_free(writer);
  return text;
}

std::string backend() {
  struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
  unsigned used = ev_backend(loop);
  ev_loop_destroy(loop);
  return used == EVBACKEND_EPOLL    ? "epoll"
         : used == EVBACKEND_POLL   ? "poll"
         : used == EVBACKEND_SELECT ? "select"
                                    : std::to_string(used);
}

std::string end_of_process() {
  gipc_process *process;
  must(gipc_start_process([](struct ev_loop *, void *) { return 0; }, nullptr,
                          nullptr, &process),
       "start");
  std::string way = gipc_process_fd(process) >= 0 ? "pidfd" : "polling";
  must(gipc_process_join(process, -1), "join");
  gipc_exit_info info{};
  info.size = sizeof info;
  must(gipc_process_info(process, &info), "info");
  way += info.how == GIPC_STATUS_FROM_WAIT ? ", waitid" : ", other";
  gipc_process_free(process);
  return way;
}

} // namespace

int main(int argc, char **argv) {
  begin(argc, argv);
  utsname system;
  check(uname(&system), "uname");
  int version = gipc_version();
  std::printf("kernel     %s %s %s\n", system.sysname, system.release,
              system.machine);
  std::printf("cores      %ld, %s\n", sysconf(_SC_NPROCESSORS_ONLN),
              processor().c_str());
  std::printf("library    gipc %d.%d.%d\n", version / 65536,
              version / 256 % 256, version % 256);
  std::printf("transport  %s\n", transport().c_str());
  std::printf("loop       libev %d.%d, %s\n", ev_version_major(),
              ev_version_minor(), backend().c_str());
  std::printf("end        %s\n", end_of_process().c_str());
  std::printf("figures    medians of interleaved rounds (quartiles); the "
              "ratios are medians\n           of each round's ratio; targets "
              "are set for both processes on one core\n");
}
