// More rings than a process has places for: an idle one is left for one that is
// used, whichever thread uses or waits for which, and no message is lost. (H58)
extern "C" {
#include "support_ring.h"
}

#include "ring.h"

#include <atomic>
#include <memory>
#include <poll.h>
#include <thread>
#include <vector>

using namespace gipc;

namespace {

// Pipes of this process, which has both ends, and so two rings for each.
constexpr int most_pipes = RingMemory::most_rings / 2;

struct Pipe {
  gipc_handle *r, *w;
  uint32_t put = 0, got = 0;
  void exchange() {
    OK(gipc_set_transport(w, GIPC_TRANSPORT_RING)); // offers at once
    put_number(w, put++);
    get_number(r, got++);
  }
  bool uses_ring() const { return in_ring(r, w); }
};

std::vector<Pipe> make_pipes(int count, bool rings) {
  std::vector<Pipe> pipes(static_cast<size_t>(count));
  for (Pipe &pipe : pipes)
    if (rings) {
      make_ring(&pipe.r, &pipe.w);
    } else {
      OK(gipc_pipe(&pipe.r, &pipe.w));
      OK(gipc_set_transport(pipe.r, GIPC_TRANSPORT_RING));
    }
  return pipes;
}

void free_pipes(std::vector<Pipe> &pipes) {
  for (Pipe &pipe : pipes) {
    gipc_handle_free(pipe.w);
    if (pipe.r != nullptr)
      gipc_handle_free(pipe.r);
  }
}

// Until each of them has used a ring, for which others have to leave theirs.
// Not until all do at once: where this thread is not run for as long as a ring
// may be idle, they leave theirs for each other.  busy is used meanwhile.
void use_rings(std::vector<Pipe> &pipes, Pipe *busy) {
  std::vector<bool> used(pipes.size());
  for (size_t left = pipes.size(); left > 0;)
    for (size_t i = 0; i < pipes.size(); ++i) {
      if (busy != nullptr)
        busy->exchange();
      pipes[i].exchange();
      if (!used[i] && pipes[i].uses_ring()) {
        used[i] = true;
        --left;
      }
    }
}

// ---- One thread ------------------------------------------------------------

void the_idlest_leaves_its_ring_and_keeps_its_messages(void **) {
  RingMemory::least_idle = 0.02;
  std::vector<Pipe> old = make_pipes(most_pipes, true);
  for (size_t i = 0; i < old.size(); i += 2) // some have unread messages
    put_number(old[i].w, old[i].put++);
  std::vector<Pipe> young = make_pipes(8, false);
  Pipe &busy = old.back();
  use_rings(young, &busy);
  assert_true(busy.uses_ring());
  int left = 0;
  for (Pipe &pipe : old) {
    left += pipe.uses_ring() ? 0 : 1;
    for (int i = 0; i < 3; ++i)
      put_number(pipe.w, pipe.put++);
    while (pipe.got < pipe.put)
      get_number(pipe.r, pipe.got++);
  }
  assert_true(left >= 8);
  // Those come back by themselves when they are used, whichever side left.
  for (Pipe &pipe : old)
    for (int i = 0; !pipe.uses_ring(); ++i) {
      assert_true(i < 60000); // 16384 from one offer to the next
      put_number(pipe.w, pipe.put++);
      get_number(pipe.r, pipe.got++);
    }
  free_pipes(old);
  free_pipes(young);
}

void rings_that_are_used_are_not_left(void **) {
  RingMemory::least_idle = 3600;
  std::vector<Pipe> old = make_pipes(most_pipes, true);
  std::vector<Pipe> young = make_pipes(1, false);
  for (int i = 0; i < 50; ++i)
    young[0].exchange();
  assert_false(young[0].uses_ring());
  for (Pipe &pipe : old)
    assert_true(pipe.uses_ring());
  free_pipes(old);
  free_pipes(young);
}

void a_writer_that_waits_for_room_keeps_its_ring(void **) {
  static char block[2 << 20];
  const void *data;
  size_t size;
  RingMemory::least_idle = 0;
  std::vector<Pipe> old = make_pipes(most_pipes, true);
  for (Pipe &pipe : old)
    RESULT(gipc_put_start(pipe.w, block, sizeof block), -EAGAIN);
  std::vector<Pipe> young = make_pipes(1, false);
  for (int i = 0; i < 50; ++i)
    young[0].exchange();
  assert_false(young[0].uses_ring());
  for (Pipe &pipe : old) {
    int put;
    while ((put = gipc_put_step(pipe.w)) == -EAGAIN)
      RESULT(gipc_try_get(pipe.r, &data, &size), -EAGAIN);
    OK(put);
    OK(gipc_get(pipe.r, 60, &data, &size));
    assert_int_equal(size, sizeof block);
  }
  free_pipes(old);
  free_pipes(young);
}

// Places that no handle uses, which are never left.
std::vector<std::unique_ptr<RingMemory>> take_places(int count) {
  std::vector<std::unique_ptr<RingMemory>> taken;
  for (int i = 0; i < count; ++i) {
    Fd memory;
    taken.push_back(std::make_unique<RingMemory>());
    OK(taken.back()->create(RingMemory::least, memory));
  }
  return taken;
}

// As many exchanges as an offer stands, and from one to the next, take less.
int exchanges_to_ring(Pipe &pipe) {
  int count = 0;
  for (; !pipe.uses_ring() && count < 2000; ++count) {
    put_number(pipe.w, pipe.put++);
    get_number(pipe.r, pipe.got++);
  }
  return count;
}

void a_reader_without_a_place_gets_another_offer(void **) {
  RingMemory::least_idle = 3600;
  auto taken = take_places(RingMemory::most_rings - 1);
  std::vector<Pipe> pipes = make_pipes(1, false);
  pipes[0].exchange(); // the offer is in the last place
  for (int i = 0; i < 10; ++i)
    pipes[0].exchange();
  assert_false(pipes[0].uses_ring());
  taken.clear();
  assert_in_range(exchanges_to_ring(pipes[0]), 900, 1500);
  free_pipes(pipes);
}

void an_accepted_offer_does_not_keep_its_places(void **) {
  RingMemory::least_idle = 3600;
  auto taken = take_places(RingMemory::most_rings - 2);
  std::vector<Pipe> pipes = make_pipes(2, false);
  pipes[0].exchange(); // accepted: the control frame goes with the next message
  RingMemory::least_idle = 0;
  for (int i = 0; i < 3 && !pipes[1].uses_ring(); ++i)
    pipes[1].exchange();
  assert_true(pipes[1].uses_ring());
  assert_false(pipes[0].uses_ring());
  taken.clear();
  assert_in_range(exchanges_to_ring(pipes[0]), 1, 1500);
  free_pipes(pipes);
}

// ---- Several threads -------------------------------------------------------

int get_in_steps(gipc_handle *r, const void **data, size_t *size) {
  int result;
  while ((result = gipc_try_get(r, data, size)) == -EAGAIN) {
    pollfd one{gipc_fd(r, GIPC_READ), POLLIN, 0};
    (void)poll(&one, 1, -1);
  }
  return result;
}

int get_in_set(gipc_handle *r, const void **data, size_t *size) {
  gipc_wait_set *set;
  OK(gipc_wait_set_new(&set));
  OK(gipc_wait_set_add_handle(set, r, GIPC_READ));
  int result;
  while ((result = gipc_try_get(r, data, size)) == -EAGAIN)
    assert_int_equal(gipc_wait(set, -1), 1);
  gipc_wait_set_free(set);
  return result;
}

// Waits in the kernel, in poll(2), in the caller's poll(2), in a wait set.
int get_somehow(int way, gipc_handle *r, const void **data, size_t *size) {
  switch (way % 4) {
  case 0:
    return gipc_get(r, -1, data, size);
  case 1:
    return gipc_get(r, 600, data, size);
  case 2:
    return get_in_steps(r, data, size);
  default:
    return get_in_set(r, data, size);
  }
}

void a_reader_that_waits_gets_what_comes_after_its_ring(void **) {
  RingMemory::least_idle = 0.02;
  std::vector<Pipe> old = make_pipes(most_pipes, true);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> got{0};
  for (int i = 0; i < most_pipes; ++i) {
    gipc_handle *r = std::exchange(old[static_cast<size_t>(i)].r, nullptr);
    threads.emplace_back([i, r, &got] {
      const void *data;
      size_t size;
      uint32_t next = 0;
      int result;
      for (; (result = get_somehow(i, r, &data, &size)) == 0; ++next)
        if (size != sizeof next || memcmp(data, &next, size) != 0)
          break;
      if (result == GIPC_EOF)
        got += next;
      gipc_handle_free(r);
    });
  }
  std::vector<Pipe> young = make_pipes(most_pipes / 2, false);
  uint64_t put = 0;
  for (int round = 0; round < 20; ++round) {
    use_rings(young, nullptr);
    for (Pipe &pipe : old)
      for (int i = 0; i < 3; ++i, ++put) {
        if (round % 2 == 1)
          OK(gipc_set_transport(pipe.w, GIPC_TRANSPORT_RING));
        put_number(pipe.w, pipe.put++);
      }
  }
  free_pipes(old);
  for (std::thread &thread : threads)
    thread.join();
  assert_int_equal(got, put);
  free_pipes(young);
}

// Each message waits for its answer, so a wake-up that is lost is never made up
// for by the next one.
void answers_come_while_rings_change_hands(void **) {
  RingMemory::least_idle = 0;
  constexpr int pairs = most_pipes / 2 + 8; // with two rings at each end
  auto rounds = static_cast<uint32_t>(many(3000, 100));
  std::vector<std::thread> threads;
  std::atomic<int> good{0}, left{0};
  for (int i = 0; i < pairs; ++i) {
    gipc_handle *a, *b;
    OK(gipc_pipe_duplex(&a, &b));
    OK(gipc_set_transport(b, GIPC_TRANSPORT_RING));
    threads.emplace_back([i, b] {
      const void *data;
      size_t size;
      while (get_somehow(i, b, &data, &size) == 0)
        OK(gipc_put(b, data, size, -1));
      gipc_handle_free(b);
    });
    threads.emplace_back([i, a, rounds, &good, &left] {
      const void *data;
      size_t size;
      uint32_t n = 0, was = 0;
      bool demanded = true;
      for (; n < rounds || left == 0; ++n) {
        bool ring = transport(a, GIPC_WRITE) == GIPC_TRANSPORT_RING;
        left += was == GIPC_TRANSPORT_RING && !ring && !demanded ? 1 : 0;
        was = ring ? GIPC_TRANSPORT_RING : GIPC_TRANSPORT_PLAIN;
        demanded = n % 8 == 0;
        if (demanded)
          OK(gipc_set_transport(a, GIPC_TRANSPORT_RING));
        put_number(a, n);
        if (get_somehow(i / 4, a, &data, &size) != 0 || size != sizeof n ||
            memcmp(data, &n, size) != 0)
          break;
      }
      good += n >= rounds ? 1 : 0;
      gipc_handle_free(a);
    });
  }
  for (std::thread &thread : threads)
    thread.join();
  assert_int_equal(good, pairs);
  assert_true(left > 0);
}

void the_portable_half_leaves_nothing(void **) {
  std::vector<Pipe> pipes(1);
  OK(gipc_pipe(&pipes[0].r, &pipes[0].w));
  RESULT(gipc_set_transport(pipes[0].w, GIPC_TRANSPORT_RING), -EOPNOTSUPP);
  free_pipes(pipes);
}

} // namespace

int main() {
  const CMUnitTest plain[] = {TEST(the_portable_half_leaves_nothing)};
  const CMUnitTest tests[] = {
      TEST(the_idlest_leaves_its_ring_and_keeps_its_messages),
      TEST(rings_that_are_used_are_not_left),
      TEST(a_writer_that_waits_for_room_keeps_its_ring),
      TEST(a_reader_without_a_place_gets_another_offer),
      TEST(an_accepted_offer_does_not_keep_its_places),
      TEST(a_reader_that_waits_gets_what_comes_after_its_ring),
      TEST(answers_come_while_rings_change_hands),
  };
  if (portable())
    return cmocka_run_group_tests_name("idle rings", plain, nullptr, nullptr);
  return cmocka_run_group_tests_name("idle rings", tests, nullptr, nullptr);
}
