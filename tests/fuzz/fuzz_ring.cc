// The ring: which bytes come through, in which order, and who is woken (H129);
// and what a hostile peer can do, which stores any index, flag and byte at any
// moment: a call returns, with bytes of the ring or an error (H58).
#include "rings.h"

#include "os.h"

extern "C" size_t cost_of_input() { return 20; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  constexpr size_t most = 2000; // bytes, so that an input takes a moment
  if (size == 0 || !gipc::os::has_shared_memory)
    return 0;
  Input input{data + 1, std::min(size - 1, most)};
  switch (data[0] % 8) {
  case 0:
    rings::attack_reader(input);
    break;
  case 1:
    rings::attack_writer(input);
    break;
  case 2: // few, because a thread takes long
    (data[0] < 8 ? rings::race_reader : rings::check_bytes)(input);
    break;
  case 3:
  case 4:
    rings::check_ends(input);
    break;
  default:
    rings::check_bytes(input);
  }
  return 0;
}
