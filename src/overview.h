// All handles and processes of this process.
#pragma once

#include "gipc.h"

namespace gipc::overview {

// Copies what there is, and then calls each() for each copy, which may do
// anything.  Throws bad_alloc.
int handles(int (*each)(const gipc_handle_entry *entry, void *user),
            void *user);
int processes(int (*each)(const gipc_process_entry *entry, void *user),
              void *user);

} // namespace gipc::overview
