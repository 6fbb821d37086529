// The receiver: what its calls return in each state.
#include "support.h"

#include "os.h"
#include "receiver.h"
#include "sys.h"

#include <string>

using namespace gipc;

namespace {

// A get_into() that has received a part of its message.
struct Begun {
  Begun() {
    Fd reader;
    registry::Lock hold;
    assert_int_equal(os::socket_pair(reader, writer), 0);
    receiver.open(std::move(reader));
    write("\0\0\x75\x30"
          "abc",
          7);
    assert_int_equal(get(), -EAGAIN);
    assert_true(receiver.state() == Receiver::State::into);
  }
  void write(const char *data, size_t count) {
    assert_int_equal(sys::send(writer.get(), data, count, 0), count);
  }
  int get() { return receiver.get_into(buffer, sizeof buffer, size); }

  Receiver receiver;
  Fd writer;
  size_t size = 0;
  char buffer[30000];
};

// A put waits while the get is in progress, and may receive ahead.
void a_get_in_steps_is_locked_while_another_call_waits(void **) {
  Begun begun;
  Receiver &receiver = begun.receiver;
  receiver.begin_wait();
  assert_int_equal(receiver.gate(), GIPC_ELOCKED);
  assert_int_equal(begun.get(), GIPC_ELOCKED);
  assert_int_equal(receiver.cancel_into(), GIPC_ELOCKED);
  receiver.end_wait();
  assert_int_equal(receiver.gate(), GIPC_ELOCKED);
  std::string rest(sizeof begun.buffer - 3, 'x');
  begun.write(rest.data(), rest.size());
  assert_int_equal(begun.get(), 0);
  assert_int_equal(begun.size, sizeof begun.buffer);
  assert_int_equal(begun.buffer[2], 'c');
  assert_int_equal(receiver.gate(), 0);
}

void a_wait_does_not_change_what_ends_after_it(void **) {
  Begun begun;
  Receiver &receiver = begun.receiver;
  receiver.begin_wait();
  receiver.end_wait();
  assert_int_equal(receiver.cancel_into(), 0);
  assert_int_equal(receiver.held(), 3);
  receiver.push(true);
  receiver.begin_wait();
  receiver.end_wait();
  assert_true(receiver.state() == Receiver::State::pushed);
  receiver.close();
  receiver.begin_wait();
  receiver.end_wait();
  assert_int_equal(receiver.gate(), GIPC_ECLOSED);
  Receiver none;
  none.begin_wait();
  none.end_wait();
  assert_int_equal(none.gate(), GIPC_EDIRECTION);
}

} // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_get_in_steps_is_locked_while_another_call_waits),
      TEST(a_wait_does_not_change_what_ends_after_it),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
