// All handles and processes of this process.
#include "overview.h"

#include "handle.h"
#include "process.h"
#include "this_process.h"
#include "trace.h"

#include <string>
#include <vector>

namespace gipc::overview {

namespace {

// Calls describe() for each object of this kind, which cannot be freed
// meanwhile.  The newest is first.
template <typename Object, typename Describe>
void look_at_all(registry::Kind kind, Describe describe) {
  registry::Lock hold;
  for (auto *entry = registry::first_entry(kind); entry != nullptr;
       entry = registry::next_entry(entry))
    describe(*static_cast<const Object *>(entry));
}

// The oldest first.
template <typename Entry>
int call_each(std::vector<Entry> &copies,
              int (*each)(const Entry *entry, void *user), void *user) {
  for (auto copy = copies.rbegin(); copy != copies.rend(); ++copy) {
    copy->size = sizeof(Entry);
    if (int result = each(&*copy, user))
      return result;
  }
  return 0;
}

} // namespace

int handles(int (*each)(const gipc_handle_entry *entry, void *user),
            void *user) {
  trace::note_uses();
  std::vector<gipc_handle_entry> copies;
  look_at_all<Handle>(registry::Kind::handle, [&](const Handle &handle) {
    copies.emplace_back();
    handle.describe(copies.back());
  });
  return call_each(copies, each, user);
}

int processes(int (*each)(const gipc_process_entry *entry, void *user),
              void *user) {
  std::vector<gipc_process_entry> copies;
  std::vector<std::string> names; // which a growing vector does not copy
  look_at_all<Process>(registry::Kind::process, [&](const Process &process) {
    copies.emplace_back();
    process.describe(copies.back());
    names.emplace_back(process.name());
  });
  for (size_t i = 0; i < copies.size(); ++i)
    copies[i].name = names[i].c_str();
  return call_each(copies, each, user);
}

} // namespace gipc::overview
