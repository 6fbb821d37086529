// A template: a small process that forks function children on request.  They
// are children of the program itself, and the copying of page tables, which
// dominates a fork of a large program, costs what it costs in the template.
//
// A second one, the spare, sleeps beside it, and takes its place if it was
// killed: the program has grown, so that a template forked from it now would be
// as large, and have other memory.
#pragma once

#include "fd.h"
#include "options.h"
#include "template_request.h"
#include "this_process.h"

#include <memory>

namespace gipc {

class Fork;
class Process;

class Template {
public:
  // A fork of this process.  Throws bad_alloc, as the next two do.
  static int create(const Options *options, Template *&out);
  // A program that calls serve_program().
  static int execute(const char *const argv[], const Options *options,
                     Template *&out);
  // May be called in several threads.  size 0: the pointer is passed.
  int start(int (*target)(struct ev_loop *, void *), const void *argument,
            size_t size, const Options &options, Process *&out);
  void free() noexcept;

  // A process that serves requests.
  struct Server {
    ~Server();
    bool has_ended() const noexcept;

    Process *process = nullptr;
    registry::Held socket;
  };

private:
  using Shared = std::shared_ptr<Server>;

  explicit Template(bool is_program) noexcept : is_program_(is_program) {}
  ~Template() = default;
  int fork_server(const Options *options);
  int add_spare() noexcept;
  int make_spare();
  void replace(const Shared &ended) noexcept;

  uint32_t owner_ = generation::current();
  const bool is_program_;
  bool spare_in_making_ = false;
  Shared active_, spare_; // both under the registry's lock
};

namespace served {

// By which a program finds its socket.
constexpr const char *name = "gipc-template";
// What a packet may have, well below the buffers of a socket.
constexpr size_t most_bytes = size_t{128} << 10;

// In the child of this fork.
[[noreturn]] void run_fork(Fork &fork, int socket, const Options *options);
// In the template: forks children until the program has ended or has freed the
// template.  Returns in each child, which has begun, with what it was asked for
// in memory that stays; and in the template with an error at its start.
int serve(int socket, Request *&out) noexcept;
// The same in a program that Template::execute() started.  Throws bad_alloc.
int serve_program(Request *&out);

} // namespace served

} // namespace gipc
