// The ring: indices, flags, and the memory they are in.  (H58)
#include "support_process.h"

#include "gipc.h"
#include "incoming.h"
#include "os.h"
#include "ring.h"

#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <vector>

using namespace gipc;

namespace {

constexpr size_t capacity = RingMemory::least;

// Both sides, each with a mapping of its own.
struct Sides {
  explicit Sides(size_t bytes = capacity) {
    OK(write_memory.create(bytes, fd));
    OK(read_memory.open(fd.get()));
  }
  RingWriter::Due write(const std::string &text, size_t &size) {
    // In two parts, as a message with its header.
    iovec parts[] = {{const_cast<char *>(text.data()), text.size() / 2},
                     {const_cast<char *>(text.data()) + text.size() / 2,
                      text.size() - text.size() / 2}};
    return writer.write(parts, 2, size);
  }
  void put(const std::string &text) {
    size_t size = 0;
    OK(writer.check_room(static_cast<uint32_t>(text.size())));
    (void)write(text, size);
    assert_int_equal(size, text.size());
  }
  std::string get(size_t most) {
    std::string text(most, '\0');
    assert_true(reader.available() >= 0);
    iovec parts[] = {{&text[0], most / 3}, {&text[most / 3], most - most / 3}};
    text.resize(reader.read(parts, 2, frees));
    return text;
  }
  RingPage &page() { return write_memory.page(); }

  Fd fd;
  RingMemory write_memory, read_memory;
  RingWriter writer{write_memory};
  RingReader reader{read_memory};
  bool frees = false;
};

std::string pattern(size_t size, uint64_t seed) {
  std::string text(size, '\0');
  fill(&text[0], size, seed);
  return text;
}

void bytes_of_every_size_come_through_at_every_place(void **) {
  Sides sides;
  for (size_t size = 1; size <= capacity; size += 1 + size / 7)
    for (size_t at = 0; at < capacity; at += 1 + capacity / 23) {
      std::string text = pattern(size, size + at);
      sides.put(text);
      assert_true(sides.get(size + 10) == text);
      if (at > 0) {
        sides.put(std::string(at, 'x'));
        assert_int_equal(sides.get(at).size(), at);
      }
    }
}

void the_indices_wrap_around(void **) {
  if (slow())
    skip_because("4 GiB are too much here");
  constexpr size_t step = 1 << 20;
  Sides sides(step);
  std::string text = pattern(step - 3, 7);
  for (uint64_t moved = 0; moved < (uint64_t(1) << 32) + 5 * step;) {
    size_t size = 0;
    OK(sides.writer.check_room(1));
    (void)sides.write(text, size);
    std::string got = sides.get(size);
    assert_true(got.size() == size && text.compare(0, size, got) == 0);
    moved += size;
  }
}

void a_full_ring_takes_what_there_is_room_for(void **) {
  Sides sides;
  size_t size = 0;
  (void)sides.write(std::string(capacity + 100, 'a'), size);
  assert_int_equal(size, capacity);
  RESULT(sides.writer.check_room(1), -EAGAIN);
  assert_int_equal(sides.get(10).size(), 10);
  OK(sides.writer.check_room(10));
  RESULT(sides.writer.check_room(11), -EAGAIN);
  (void)sides.write("bbbbbbbbbbbbbbbbbbbb", size);
  assert_int_equal(size, 10);
}

void a_reader_that_sleeps_gets_one_bell(void **) { // H129
  Sides sides;
  size_t size = 0;
  assert_int_equal(sides.reader.available(), 0);
  assert_int_equal(sides.reader.sleep(), 0);
  assert_true(sides.write("a", size) == RingWriter::Due::bell);
  assert_true(sides.write("b", size) == RingWriter::Due::nothing);
  assert_true(sides.get(2) == "ab");
  // Bytes that came before the flag was raised: no bell is due.
  sides.put("c");
  assert_int_equal(sides.reader.sleep(), 1);
  assert_false(sides.reader.wake());
  assert_true(sides.write("d", size) == RingWriter::Due::nothing);
  // Bytes that came between: a bell comes.
  assert_true(sides.get(2) == "c"); // what it has seen
  assert_true(sides.get(2) == "d");
  assert_int_equal(sides.reader.sleep(), 0);
  assert_true(sides.write("e", size) == RingWriter::Due::bell);
  assert_true(sides.reader.wake());
}

void a_writer_that_waits_is_freed_when_half_of_the_ring_is_free(void **) {
  Sides sides;
  uint32_t needed = sides.writer.needed(3 * capacity);
  assert_int_equal(needed, capacity / 2);
  assert_int_equal(sides.writer.needed(10), 10);
  sides.put(std::string(capacity, 'a'));
  sides.writer.raise();
  RESULT(sides.writer.look_again(needed), -EAGAIN);
  assert_int_equal(sides.get(capacity / 2 - 1).size(), capacity / 2 - 1);
  assert_false(sides.frees);
  RESULT(sides.writer.look_again(needed), -EAGAIN);
  assert_int_equal(sides.get(1).size(), 1);
  assert_true(sides.frees);
  assert_int_equal(sides.page().writer_waits.load(), 0);
  // It has the room, and lowers its own flag.
  sides.writer.raise();
  OK(sides.writer.look_again(needed));
  assert_int_equal(sides.page().writer_waits.load(), 0);
  // The flag was lowered, but there is not as much room.
  RESULT(sides.writer.look_again(capacity), -EINTR);
}

void a_reader_leaves_only_while_it_sleeps(void **) {
  Sides sides;
  size_t size = 0;
  assert_false(sides.reader.leave());
  sides.put("read");
  assert_true(sides.get(10) == "read");
  assert_int_equal(sides.reader.sleep(), 0);
  assert_true(sides.write("a", size) == RingWriter::Due::bell);
  assert_false(sides.reader.leave());
  assert_true(sides.get(1) == "a");
  assert_int_equal(sides.reader.sleep(), 0);
  assert_true(sides.reader.leave());
  assert_true(sides.write("bc", size) == RingWriter::Due::left);
  assert_true(sides.writer.is_read_up_to(2));
  assert_false(sides.writer.is_read_up_to(1));
}

void a_writer_leaves_and_sees_a_reader_that_has_left(void **) {
  Sides sides;
  assert_true(sides.writer.leave());
  assert_int_equal(sides.reader.sleep(), 0);
  assert_true(sides.writer.leave());
  assert_int_equal(sides.reader.sleep(), 0);
  assert_true(sides.reader.leave());
  assert_false(sides.writer.leave());
}

void a_closed_reader_is_seen(void **) {
  Sides sides;
  assert_false(sides.writer.is_closed());
  sides.reader.close();
  assert_true(sides.writer.is_closed());
}

void a_process_that_reads_on_begins_where_the_last_one_ended(void **) {
  Sides sides;
  sides.put("one two");
  assert_true(sides.get(4) == "one ");
  RingReader next(sides.read_memory);
  next.resume();
  assert_int_equal(next.available(), 3);
}

// ---- A peer that stores anything
void an_index_that_cannot_be_is_a_protocol_error(void **) {
  for (uint32_t head : {capacity + 1, size_t(0x80000000u), size_t(~0u)}) {
    Sides sides;
    sides.page().head.store(head);
    RESULT(sides.reader.available(), GIPC_EPROTOCOL);
  }
  for (uint32_t tail : {1u, 0x80000000u, ~0u - uint32_t(capacity)}) {
    Sides sides;
    sides.put(std::string(capacity, 'a'));
    sides.page().tail.store(tail + capacity);
    RESULT(sides.writer.check_room(1), GIPC_EPROTOCOL);
    RESULT(sides.writer.look_again(1), GIPC_EPROTOCOL);
  }
}

// H130
void an_index_that_changes_after_the_check_is_not_used(void **) {
  Sides sides;
  sides.put("abcd");
  assert_int_equal(sides.reader.available(), 4);
  sides.page().head.store(~0u);
  assert_true(sides.get(capacity) == "abcd");
  RESULT(sides.reader.available(), GIPC_EPROTOCOL);
}

// ---- Memory
// H130
void memory_that_may_change_its_size_is_refused(void **) {
  for (int seals : {0, F_SEAL_GROW | F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_SEAL,
                    F_SEAL_GROW | F_SEAL_SEAL}) {
    Fd file(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    assert_int_equal(ftruncate(file.get(), 8192), 0);
    assert_int_equal(fcntl(file.get(), F_ADD_SEALS, seals), 0);
    RingMemory memory;
    RESULT(memory.open(file.get()), -EINVAL);
    assert_false(memory.is_mapped());
  }
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  RingMemory memory;
  assert_true(memory.open(ends[0]) < 0);
  close(ends[0]);
  close(ends[1]);
}

void memory_of_an_odd_size_is_refused(void **) {
  int all = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  for (off_t size :
       {0, 1, 4096, 4097, 8191, 8193, 4096 + 3 * 4096, (1 << 25) + 4096}) {
    Fd file(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    assert_int_equal(ftruncate(file.get(), size), 0);
    assert_int_equal(fcntl(file.get(), F_ADD_SEALS, all), 0);
    RingMemory memory;
    RESULT(memory.open(file.get()), -EINVAL);
  }
}

void a_forked_child_has_the_memory_only_if_it_is_passed(void **) {
  for (bool passed : {false, true}) {
    Sides sides;
    OK(sides.read_memory.keep_at_fork(passed));
    sides.put("x");
    pid_t pid = fork();
    if (pid == 0) {
      signal(SIGSEGV, SIG_DFL);
      _exit(sides.read_memory.page().head.load() == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    // A sanitizer makes a status of the signal.
    assert_true(passed ? status == 0 : status != 0);
  }
}

void a_process_has_so_many_rings(void **) {
  std::vector<std::unique_ptr<Sides>> all;
  for (int i = 0; i < RingMemory::most_rings / 2; ++i)
    all.push_back(std::make_unique<Sides>());
  RingMemory one_more;
  Fd fd;
  RESULT(one_more.create(capacity, fd), -EMFILE);
  RESULT(one_more.open(all[0]->fd.get()), -EMFILE);
  all.pop_back();
  OK(one_more.create(capacity, fd));
}

// A file over this limit raises SIGXFSZ.
void a_file_size_limit_refuses_the_memory(void **) {
  pid_t pid = fork();
  if (pid == 0) {
    rlimit limit = {4096, 4096};
    RingMemory memory;
    Fd fd;
    bool good = setrlimit(RLIMIT_FSIZE, &limit) == 0 &&
                memory.create(capacity, fd) == -EFBIG;
    _exit(good ? 0 : 1);
  }
  child_join(pid);
}

void the_portable_half_has_no_rings(void **) {
  gipc_handle *reader, *writer;
  OK(gipc_pipe(&reader, &writer));
  RESULT(gipc_set_transport(writer, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  gipc_handle_free(reader);
  gipc_handle_free(writer);
}

void a_reader_that_waits_for_the_control_frame_leaves_for_another(void **) {
  struct {
    RingPage::Offer before, after;
    bool leaves;
  } cases[] = {{RingPage::accepted, RingPage::offered, true},
               {RingPage::withdrawn, RingPage::withdrawn, true},
               {RingPage::switched, RingPage::switched, false}};
  for (auto &one : cases) {
    RingMemory writer;
    Fd memory;
    OK(writer.create(capacity, memory));
    Incoming reader;
    assert_true(reader.accept(registry::Held(std::move(memory))));
    assert_int_equal(writer.page().offer, RingPage::accepted);
    writer.page().offer = one.before; // by the writer
    assert_int_equal(reader.leave_idle(), one.leaves);
    assert_int_equal(writer.page().offer, one.after);
    // What comes is read from the socket, and not that it waits for a frame.
    assert_int_equal(reader.is_done(), one.leaves);
    assert_int_equal(reader.descriptor_of_memory() < 0, one.leaves);
  }
}

} // namespace

int main() {
  const CMUnitTest plain[] = {TEST(the_portable_half_has_no_rings)};
  const CMUnitTest tests[] = {
      TEST(bytes_of_every_size_come_through_at_every_place),
      TEST(the_indices_wrap_around),
      TEST(a_full_ring_takes_what_there_is_room_for),
      TEST(a_reader_that_sleeps_gets_one_bell),
      TEST(a_writer_that_waits_is_freed_when_half_of_the_ring_is_free),
      TEST(a_reader_leaves_only_while_it_sleeps),
      TEST(a_writer_leaves_and_sees_a_reader_that_has_left),
      TEST(a_closed_reader_is_seen),
      TEST(a_process_that_reads_on_begins_where_the_last_one_ended),
      TEST(an_index_that_cannot_be_is_a_protocol_error),
      TEST(an_index_that_changes_after_the_check_is_not_used),
      TEST(memory_that_may_change_its_size_is_refused),
      TEST(memory_of_an_odd_size_is_refused),
      TEST(a_forked_child_has_the_memory_only_if_it_is_passed),
      TEST(a_process_has_so_many_rings),
      TEST(a_reader_that_waits_for_the_control_frame_leaves_for_another),
      TEST(a_file_size_limit_refuses_the_memory),
  };
  if (portable())
    return cmocka_run_group_tests_name("ring", plain, nullptr, nullptr);
  return cmocka_run_group_tests_name("ring", tests, nullptr, nullptr);
}
