// What a pool and its workers send each other, each in one message of a pipe:
//
//   to the worker    T task attempt data
//   from the worker  R version
//                    A
//                    D task data
//                    F task type text trace data
//
// The first byte is the kind.  task is 8 bytes and attempt 4, the most
// significant first; each text of a failure follows its size in 4 bytes; data
// is the rest.  A worker has one task at a time, and its answer names it, so
// that one answer too many is not taken for that of the next task.
#pragma once

#include "gipc.h"

namespace gipc::policy {

constexpr unsigned char message_version = 1;

// Fills all but the size member.  GIPC_EPROTOCOL: malformed.
int decode(const unsigned char *data, size_t size,
           gipc_worker_message &out) noexcept;
// The bytes that it takes; 0: not a kind of message, or it is too large.
size_t encoded_size(const gipc_worker_message &message) noexcept;
void encode(const gipc_worker_message &message, unsigned char *out) noexcept;

// In the bytes of an encoded task.
void set_attempt(unsigned char *task, uint32_t attempt) noexcept;

} // namespace gipc::policy
