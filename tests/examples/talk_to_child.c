/* Talks to a child in another language: a Python that knows nothing of this
 * library, whose own Connection speaks the same bytes on stdin and stdout. */
#include <errno.h>
#include <gipc.h>
#include <stdio.h>
#include <string.h>

static const char program[] =
    "from multiprocessing.connection import Connection\n"
    "questions = Connection(0, writable=False)\n"
    "answers = Connection(1, readable=False)\n"
    "try:\n"
    "    while True:\n"
    "        text = questions.recv_bytes().decode()\n"
    "        answers.send_bytes(text[::-1].encode())\n"
    "except EOFError:\n"
    "    pass\n";

static const char *const argv[] = {"python3", "-c", program, NULL};

static int fail(int result, const char *call) {
  fprintf(stderr, "%s: %s\n", call, gipc_strerror(result));
  return 1;
}

/* Starts a child with pipes at its stdin and stdout, and adopts their ends. */
static int start(gipc_process **child, gipc_handle **pipe) {
  gipc_options *options;
  int in, out, result = gipc_options_new(&options);

  if (result < 0)
    return result;
  result = gipc_options_set_stdio(options, 0, GIPC_STDIO_PIPE, -1);
  if (result == 0)
    result = gipc_options_set_stdio(options, 1, GIPC_STDIO_PIPE, -1);
  if (result == 0)
    result = gipc_exec_process(argv, options, child);
  gipc_options_free(options);
  if (result < 0)
    return result;
  in = gipc_process_stdio(*child, 0);
  out = gipc_process_stdio(*child, 1);
  return gipc_open(out, in, pipe);
}

int main(void) {
  static const char *const questions[] = {"stressed", "level"};
  gipc_process *child;
  gipc_handle *pipe;
  const void *data;
  size_t size, i;
  int code, result = start(&child, &pipe);

  if (result == -ENOENT)
    return puts("python3 is missing"), 77; /* as tests say "skipped" */
  if (result < 0)
    return fail(result, "start");
  for (i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
    result = gipc_put(pipe, questions[i], strlen(questions[i]), 20.0);
    if (result == 0)
      result = gipc_get(pipe, 20.0, &data, &size);
    if (result < 0)
      return fail(result, questions[i]);
    printf("%s: %.*s\n", questions[i], (int)size, (const char *)data);
  }
  gipc_handle_free(pipe); /* for the child the end of its stdin */
  result = gipc_process_join(child, 20.0);
  if (result == 0)
    result = gipc_process_exitcode(child, &code);
  if (result < 0)
    return fail(result, "join");
  printf("the child ended with %d\n", code);
  gipc_process_free(child);
  return 0;
}
