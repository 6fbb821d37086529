/* A child that answers every message, and a parent on its own libev loop. */
#include <err.h>
#include <ev.h>
#include <gipc.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {"hello", "", "good bye", NULL};

struct talk {
  struct ev_loop *loop;
  gipc_process *child;
  const char *const *next; /* of the words */
};

static void must(int result, const char *call) {
  if (result < 0)
    errx(1, "%s: %s", call, gipc_strerror(result));
}

/* In the child: it needs no loop, so it just waits for each message. */
static int answer(struct ev_loop *fresh, void *pipe) {
  const void *data;
  size_t size;

  (void)fresh;
  while (gipc_get(pipe, -1, &data, &size) == 0)
    must(gipc_put(pipe, data, size, -1), "gipc_put");
  return 0; /* the parent has closed its end */
}

/* Asks the next question; after the last one the child may go. */
static void ask(gipc_handle *pipe, struct talk *talk) {
  const char *word = *talk->next++;

  if (word != NULL)
    must(gipc_try_put(pipe, word, strlen(word)), "gipc_try_put");
  else
    must(gipc_shutdown(pipe), "gipc_shutdown");
}

static void on_message(gipc_handle *pipe, const void *data, size_t size,
                       void *user) {
  printf("\"%.*s\"\n", (int)size, (const char *)data);
  ask(pipe, user);
}

static void on_exit_of(gipc_process *child, void *user) {
  int code;

  (void)user;
  must(gipc_process_exitcode(child, &code), "gipc_process_exitcode");
  printf("the child ended with %d\n", code);
  gipc_process_free(child);
}

static void on_end(gipc_handle *pipe, int why, void *user) {
  struct talk *talk = user;

  printf("%s\n", gipc_strerror(why));
  gipc_handle_free(pipe);
  must(gipc_process_watch(talk->child, talk->loop, on_exit_of, NULL), "watch");
}

int main(void) {
  static const gipc_events events = {sizeof(events), on_message, NULL, on_end};
  struct talk talk = {ev_default_loop(EVFLAG_AUTO), NULL, words};
  gipc_handle *parent_end, *child_end;
  gipc_options *options;

  must(gipc_pipe_duplex(&parent_end, &child_end), "gipc_pipe_duplex");
  must(gipc_options_new(&options), "gipc_options_new");
  must(gipc_options_pass(options, NULL, child_end), "gipc_options_pass");
  must(gipc_start_process(answer, child_end, options, &talk.child), "start");
  gipc_options_free(options);
  gipc_handle_free(child_end); /* it has moved into the child */

  must(gipc_start(parent_end, talk.loop, &events, &talk), "gipc_start");
  ask(parent_end, &talk);
  ev_run(talk.loop, 0); /* until nothing is left to wait for */
  return 0;
}
