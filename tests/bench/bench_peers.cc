// A worker of the comparison with other libraries: measures what each line of
// its input asks for, and answers with a figure or null.
//   bench_peers [template=1] [memory=BYTES] [handles=COUNT]
#include "bench.h"

#include "gipc.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>

using namespace bench;

namespace {

using Words = std::map<std::string, std::string>;

Words parse(std::istream &text) {
  Words words;
  for (std::string word; text >> word;) {
    size_t at = word.find('=');
    words[word.substr(0, at)] = word.substr(at + 1);
  }
  return words;
}

size_t number(Words &words, const char *name) {
  return std::strtoul(words[name].c_str(), nullptr, 10);
}

using Transfer = std::function<double(size_t size, Counts counts)>;

const std::map<std::string, Transfer> &one_ways() {
  static const std::map<std::string, Transfer> all = {
      {"limit", limit},
      {"raw", raw},
      {"naive", naive},
      {"naive_pipe", naive_pipe},
      {"gipc", gipc_put_get},
      {"gipc_into", gipc_put_get_into},
      {"gipc_flushed", gipc_flushed},
      {"gipc_many", gipc_put_many_get},
      {"gipc_queued",
       [](size_t size, Counts c) { return gipc_queued(size, c, 0); }},
      {"gipc_sixteen",
       [](size_t size, Counts c) { return gipc_queued(size, c, 16); }},
      {"libuv", [](size_t size, Counts c) { return uv_one_way(size, c, 0); }},
      {"libuv_coalesced",
       [](size_t size, Counts c) { return uv_one_way(size, c, 1); }},
      {"zmq", zmq_one_way},
      {"nng", nng_one_way}};
  return all;
}

const std::map<std::string, Transfer> &round_trips() {
  static const std::map<std::string, Transfer> all = {
      {"plain", plain_round_trip},
      {"gipc", gipc_round_trip},
      {"gipc_loop",
       [](size_t size, Counts c) {
         return gipc_loop_round_trip(size, c, false);
       }},
      {"libuv",
       [](size_t size, Counts c) { return uv_round_trip(size + 4, c); }},
      {"zmq", zmq_round_trip},
      {"nng", nng_round_trip}};
  return all;
}

using Tail = double (*)(size_t size, Counts counts, size_t percent);

const std::map<std::string, Tail> tails = {
    {"gipc_loop", gipc_tail}, {"libuv", uv_tail}, {"zmq", zmq_tail}};

// So many that overlap.
size_t children;

void start_children() {
  std::vector<gipc_process *> processes(children);
  for (gipc_process *&process : processes)
    must(gipc_start_process([](struct ev_loop *, void *) { return 0; }, nullptr,
                            nullptr, &process),
         "start");
  for (gipc_process *process : processes)
    join_and_free(process);
}

const std::map<std::string, void (*)()> actions = {
    {"fork", fork_and_wait},
    {"posix_spawn", spawn_and_wait},
    {"gipc", start_function},
    {"gipc_exec", start_program},
    {"gipc_template", start_from_template},
    {"children", start_children},
    {"kill_pool_worker", kill_pool_worker},
    {"kill_bare_worker", kill_bare_worker},
    {"gipc_pipe", pipe_and_free},
    {"socketpair", socketpair_and_close}};

double measure(Words &words) {
  size_t size = number(words, "size"), count = number(words, "count");
  std::string peer = words["peer"];
  children = number(words, "children");
  Counts counts{count / 8 + 1, count};
  if (words.count("one_way"))
    return one_ways().at(peer)(size, counts);
  if (words.count("round_trip"))
    return round_trips().at(peer)(size, counts);
  if (words.count("tail"))
    return tails.at(peer)(size, counts, number(words, "percent"));
  if (peer == "libuv_spawn")
    return uv_spawn_rate("/bin/true", count);
  return per_second(count, actions.at(peer));
}

// In a process of its own, as each measurement expects to be the first.
double measure_apart(Words &words) {
  Worker worker([] { return true; }, {[&] { return measure(words); }});
  return worker.run(0);
}

} // namespace

int main(int argc, char **argv) {
  begin(1, argv);
  std::string given;
  for (int i = 1; i < argc; ++i)
    given += std::string(argv[i]) + " ";
  std::istringstream text(given);
  Words words = parse(text);
  bool templated = words.count("template") && make_template();
  bool able =
      (!words.count("memory") || touch_memory(number(words, "memory"))) &&
      (!words.count("handles") || open_handles(number(words, "handles")));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream request(line);
    Words asked = parse(request);
    bool needed = asked["peer"] == "gipc_template";
    double result = !able || (needed && !templated) ? not_measured
                    : asked.count("actions")        ? measure(asked)
                                                    : measure_apart(asked);
    if (result < 0)
      std::puts("null");
    else
      std::printf("%.9g\n", result);
    std::fflush(stdout);
  }
}
