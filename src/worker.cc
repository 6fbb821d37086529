// What a worker of a pool does: says that it is ready, and answers tasks.
#include "worker.h"

#include "error.h"
#include "handle.h"
#include "policy_message.h"

#include <cstring>
#include <memory>

namespace gipc::worker {

gipc_text text_of(const char *text) noexcept {
  return {text, std::strlen(text)};
}

namespace {

// A task that failed with an error of the library, or of the system.
void set_failed(gipc_worker_message &answer, int error) {
  if (answer.kind == GIPC_MESSAGE_FAILED && answer.type.size != 0)
    return; // the task has described it
  answer.kind = GIPC_MESSAGE_FAILED;
  answer.data_size = 0;
  answer.type = text_of("gipc");
  answer.text = text_of(error_text(error));
  answer.trace = {};
}

int put(Handle &handle, const gipc_worker_message &message) {
  size_t size = policy::encoded_size(message);
  if (size == 0)
    return GIPC_ETOOBIG;
  // Not initialized, unlike a vector.
  std::unique_ptr<unsigned char[]> bytes(new unsigned char[size]);
  policy::encode(message, bytes.get());
  Deadline never;
  return handle.put(bytes.get(), size, never);
}

// A task stays valid while it is carried out, whatever that puts.
class Callback {
public:
  explicit Callback(Handle &handle) noexcept : handle_(handle) {
    handle_.begin_callback();
  }
  ~Callback() { (void)handle_.end_callback(); }
  Callback(const Callback &) = delete;
  Callback &operator=(const Callback &) = delete;

private:
  Handle &handle_;
};

// Those that the task did not take.  The next get would do that, but the next
// task may be long in coming.
void close_descriptors(Handle &handle) {
  int fds[os::most_sent];
  for (int count = handle.take_descriptors(fds, os::most_sent); count > 0;)
    Fd(fds[--count]).reset();
}

int answer_task(Handle &handle, const gipc_worker_message &task, gipc_work work,
                void *user) {
  gipc_worker_message answer{};
  answer.size = sizeof answer;
  answer.kind = GIPC_MESSAGE_DONE;
  int result;
  {
    Callback callback(handle);
    result = work(&task, &answer, user);
  }
  close_descriptors(handle);
  answer.task = task.task;
  if (result < 0)
    set_failed(answer, result);
  else if (answer.kind != GIPC_MESSAGE_DONE &&
           answer.kind != GIPC_MESSAGE_FAILED)
    set_failed(answer, -EINVAL);
  int error;
  try {
    error = put(handle, answer);
  } catch (const std::bad_alloc &) {
    error = -ENOMEM;
  }
  if (error != GIPC_ETOOBIG && error != -ENOMEM)
    return error;
  // Nothing of it was put.
  answer.kind = GIPC_MESSAGE_DONE;
  set_failed(answer, error);
  return put(handle, answer);
}

} // namespace

int alive(Handle &handle) {
  gipc_worker_message message{};
  message.kind = GIPC_MESSAGE_ALIVE;
  return put(handle, message);
}

int serve(Handle &handle, gipc_work work, void *user) {
  gipc_worker_message message{};
  message.size = sizeof message;
  message.kind = GIPC_MESSAGE_READY;
  int error = put(handle, message);
  while (error == 0) {
    View view;
    error = handle.get(Deadline(), view);
    if (error != 0)
      break;
    error = policy::decode(static_cast<const unsigned char *>(view.data),
                           view.size, message);
    if (error == 0 && message.kind != GIPC_MESSAGE_TASK)
      error = GIPC_EPROTOCOL;
    if (error == 0)
      error = answer_task(handle, message, work, user);
  }
  return error == GIPC_EOF ? 0 : error;
}

} // namespace gipc::worker
