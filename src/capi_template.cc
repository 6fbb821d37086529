// extern "C": templates.  Check, guard, forward.
#include "capi.h"

#include "template.h"

using namespace gipc;

int gipc_template_new(const gipc_options *options, gipc_template **t) {
  if (t == nullptr)
    return -EINVAL;
  return guard([&] {
    Template *made;
    int error = Template::create(unwrap(options), made);
    if (error == 0)
      *t = reinterpret_cast<gipc_template *>(made);
    return error;
  });
}

int gipc_template_exec(const char *const argv[], const gipc_options *options,
                       gipc_template **t) {
  if (argv == nullptr || argv[0] == nullptr || t == nullptr)
    return -EINVAL;
  return guard([&] {
    Template *made;
    int error = Template::execute(argv, unwrap(options), made);
    if (error == 0)
      *t = reinterpret_cast<gipc_template *>(made);
    return error;
  });
}

int gipc_template_start(gipc_template *t,
                        int (*target)(struct ev_loop *, void *),
                        const void *argument, size_t size,
                        const gipc_options *options, gipc_process **process) {
  if (t == nullptr || process == nullptr || (argument == nullptr && size > 0))
    return -EINVAL;
  return guard([&] {
    Options standard;
    Process *started;
    int error = unwrap(t)->start(
        target, argument, size,
        options != nullptr ? *unwrap(options) : standard, started);
    if (error == 0)
      *process = wrap(started);
    return error;
  });
}

int gipc_template_serve(const void **argument, size_t *size) {
  if (argument == nullptr || size == nullptr)
    return -EINVAL;
  return guard([&] {
    Request *request;
    int error = served::serve_program(request);
    if (error == 0) {
      *size = request->data.size();
      *argument = *size > 0 ? request->argument : nullptr;
    }
    return error;
  });
}

void gipc_template_free(gipc_template *t) {
  if (t != nullptr)
    (void)guard([&] {
      unwrap(t)->free();
      return 0;
    });
}
