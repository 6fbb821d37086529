/* The library for SWIG, the same for every language.
 *
 * Each function of gipc.h becomes a function of the private module without its
 * prefix: gipc_pending() is native.pending().  A function returns its result >= 0,
 * or its outputs, in their order, if it has any.  -EAGAIN is not an error: it is
 * returned as none (None, nil), which no function returns otherwise, but for one that
 * starts a process.  Every other result is an error of the language.
 *
 * A language's own file includes this one after it has defined
 *   RESULT         the typemap of such a result, of one with outputs, and of a start
 *   APPEND_OBJECT, APPEND_INTEGER   one more output
 *   typemaps for (const void *data, size_t size), for the outputs
 *   (const void **data, size_t *size), and what waits (see `wait` there)
 *
 * There are no callbacks into a script: the thin layers call steps, and wait in
 * their own way.  A step that returns no value returns an outcome, see steps.h.
 */
%insert("header") "steps.h"
%{
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
%}

#define GIPC_API
#define GIPC_MUST_CHECK
#define GIPC_DEPRECATED
#define __attribute__(x)
%include <stdint.i>
typedef int pid_t;
typedef unsigned int mode_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;

%rename("%(strip:[gipc_])s", %$isfunction) "";
%rename("%(strip:[GIPC_])s", %$isconstant) "";
%rename("%(strip:[GIPC_])s", %$isenumitem) "";

/* The script object owns the object of the library.  If a finalizer frees one that
 * is in use, a child runs on as a detached child, and queued bytes are written if
 * that is possible at once. */
%nodefaultctor;
%nodefaultdtor;
%define OBJECT(NAME, SCRIPT_NAME)
%rename(SCRIPT_NAME) gipc_##NAME;
typedef struct gipc_##NAME {} gipc_##NAME;
%enddef
OBJECT(handle, Handle)
OBJECT(options, Options)
OBJECT(process, Process)
OBJECT(fork, Fork)
OBJECT(notify_socket, NotifySocket)
%extend gipc_handle { ~gipc_handle() { gipc_handle_free($self); } }
%extend gipc_options { ~gipc_options() { gipc_options_free($self); } }
%extend gipc_process { ~gipc_process() { gipc_process_free($self); } }
%extend gipc_notify_socket {
  ~gipc_notify_socket() { gipc_notify_socket_free($self); }
}
%ignore gipc_notify_socket_free;
/* Languages have other functions of these names. */
%rename(report_ready) gipc_ready;
%rename(report_alive) gipc_alive;
%ignore gipc_handle_free;
%ignore gipc_options_free;
%ignore gipc_process_free;

%define OUTPUT(TYPE, NAME, OWNED)
%typemap(in, numinputs = 0) TYPE **NAME (TYPE *object = NULL) "$1 = &object;"
%typemap(argout) TYPE **NAME {
  if (result >= 0) {
    APPEND_OBJECT(*$1, SWIGTYPE_p_##TYPE, OWNED);
  }
}
%enddef
OUTPUT(gipc_handle, reader, SWIG_POINTER_OWN)
OUTPUT(gipc_handle, writer, SWIG_POINTER_OWN)
OUTPUT(gipc_handle, a, SWIG_POINTER_OWN)
OUTPUT(gipc_handle, b, SWIG_POINTER_OWN)
OUTPUT(gipc_handle, handle, SWIG_POINTER_OWN)
OUTPUT(gipc_options, options, SWIG_POINTER_OWN)
OUTPUT(gipc_process, process, SWIG_POINTER_OWN)
OUTPUT(gipc_notify_socket, s, SWIG_POINTER_OWN)
/* gipc_fork_parent() and gipc_fork_child() free it. */
OUTPUT(gipc_fork, f, 0)

%define OUTPUT_NUMBER(TYPE, NAME)
%typemap(in, numinputs = 0) TYPE *NAME (TYPE number = 0) "$1 = &number;"
%typemap(argout) TYPE *NAME {
  if (result >= 0) {
    APPEND_INTEGER(*$1);
  }
}
%enddef
OUTPUT_NUMBER(size_t, bytes)
OUTPUT_NUMBER(size_t, size)
OUTPUT_NUMBER(int, code)

/* A struct that the library fills: the script gets a copy of it. */
%define OUTPUT_STRUCT(TYPE, NAME, SCRIPT_NAME)
%rename(SCRIPT_NAME) TYPE;
%immutable TYPE;
%ignore TYPE::size;
%extend TYPE { ~TYPE() { free($self); } }
%typemap(in, numinputs = 0) TYPE *NAME (TYPE filled) {
  memset(&filled, 0, sizeof(filled));
  filled.size = sizeof(filled);
  $1 = &filled;
}
%typemap(argout) TYPE *NAME {
  if (result >= 0) {
    TYPE *copy = malloc(sizeof(*copy));
    if (copy)
      *copy = *$1;
    APPEND_OBJECT(copy, SWIGTYPE_p_##TYPE, SWIG_POINTER_OWN);
  }
}
%enddef
OUTPUT_STRUCT(gipc_stats, stats, Stats)
OUTPUT_STRUCT(gipc_exit_info, info, ExitInfo)

/* Functions with outputs do not return their 0. */
%define OUTPUTS_OF(FUNCTION)
%typemap(out) int FUNCTION = int OUTPUTS;
%enddef
/* A start, which the system may refuse with -EAGAIN: it has too many processes. */
%define OUTPUTS_OF_START(FUNCTION)
%typemap(out) int FUNCTION = int STARTED;
%enddef
OUTPUTS_OF(gipc_pipe)
OUTPUTS_OF(gipc_pipe_duplex)
OUTPUTS_OF(gipc_pending)
OUTPUTS_OF(gipc_handle_stats)
OUTPUTS_OF(gipc_try_get)
OUTPUTS_OF(gipc_next_size)
OUTPUTS_OF(gipc_get_into)
OUTPUTS_OF(gipc_options_new)
OUTPUTS_OF(gipc_process_exitcode)
OUTPUTS_OF(gipc_process_info)
OUTPUTS_OF(gipc_inherit)
OUTPUTS_OF(gipc_stdio)
OUTPUTS_OF(gipc_fork_prepare)
OUTPUTS_OF(gipc_fork_parent)
OUTPUTS_OF(gipc_notify_socket_new)

%{
/* Whether a handle of these can use a ring: it is made with duplicates, because
 * after a failure of open the caller still owns the descriptors. */
static int try_ring(int read_fd, int write_fd) {
  gipc_handle *handle;
  int read_copy = read_fd < 0 ? -1 : fcntl(read_fd, F_DUPFD_CLOEXEC, 3);
  int write_copy = write_fd < 0 ? -1 : fcntl(write_fd, F_DUPFD_CLOEXEC, 3);
  if (gipc_open(read_copy, write_copy, &handle) == 0) {
    int result = gipc_set_transport(handle, GIPC_TRANSPORT_RING);
    gipc_handle_free(handle);
    return result;
  }
  if (read_copy >= 0)
    close(read_copy);
  if (write_copy >= 0)
    close(write_copy);
  return 0; /* gipc_open() fails for the caller, too */
}

/* gipc_open() with a transport; < 0: that of GIPC_TRANSPORT. */
static int open_with(int read_fd, int write_fd, int transport,
                     gipc_handle **handle) {
  int result = 0;
  if (transport == GIPC_TRANSPORT_RING)
    result = try_ring(read_fd, write_fd);
  if (result == 0)
    result = gipc_open(read_fd, write_fd, handle);
  if (result == 0 && transport >= 0)
    result = gipc_set_transport(*handle, transport);
  return result;
}
%}
%ignore gipc_open;
%rename(open) open_with;
OUTPUTS_OF(open_with)
int open_with(int read_fd, int write_fd, int transport, gipc_handle **handle);

/* Lists are built item by item, so that no language needs its own C code for them. */
%{
typedef struct gipc_words { /* NULL follows the last one */
  size_t count;
  char **items;
} gipc_words;

typedef struct gipc_numbers {
  size_t count;
  int *items;
} gipc_numbers;
%}
OBJECT(words, Words)
OBJECT(numbers, Numbers)
%newobject gipc_words_new;
%newobject gipc_numbers_new;
%extend gipc_words {
  ~gipc_words() {
    for (size_t i = 0; i < $self->count; ++i)
      free($self->items[i]);
    free($self->items);
    free($self);
  }
}
%extend gipc_numbers {
  ~gipc_numbers() {
    free($self->items);
    free($self);
  }
}
%inline %{
static gipc_words *gipc_words_new(void) {
  return calloc(1, sizeof(gipc_words));
}

static int gipc_words_add(gipc_words *words, const char *word) {
  if (words == NULL || word == NULL)
    return -EINVAL;
  char **items = realloc(words->items, (words->count + 2) * sizeof(*items));
  if (items == NULL)
    return -ENOMEM;
  words->items = items;
  if ((items[words->count] = strdup(word)) == NULL)
    return -ENOMEM;
  items[++words->count] = NULL;
  return 0;
}

static gipc_numbers *gipc_numbers_new(void) {
  return calloc(1, sizeof(gipc_numbers));
}

/* A descriptor or an ID, which is unsigned.  A larger number would be truncated to
 * another one. */
static int gipc_numbers_add(gipc_numbers *numbers, int64_t number) {
  if (numbers == NULL || number < 0 || number > UINT_MAX)
    return -EINVAL;
  int *items =
      realloc(numbers->items, (numbers->count + 1) * sizeof(*items));
  if (items == NULL)
    return -ENOMEM;
  numbers->items = items;
  items[numbers->count++] = (int)number;
  return 0;
}
%}

%{
static int exec_process(const gipc_words *argv, const gipc_options *options,
                        gipc_process **process) {
  return gipc_exec_process(
      argv ? (const char *const *)argv->items : NULL, options, process);
}

static int launch(const gipc_words *argv, const gipc_options *options,
                  gipc_process **process, gipc_handle **handle) {
  return gipc_launch(argv ? (const char *const *)argv->items : NULL, options,
                     process, handle);
}

static int options_keep_fds(gipc_options *o, const gipc_numbers *fds) {
  return gipc_options_keep_fds(o, fds ? fds->items : NULL,
                               fds ? fds->count : 0);
}

/* gid_t is unsigned: the bits of the numbers are those of the IDs. */
static int options_set_user(gipc_options *o, uid_t uid, gid_t gid,
                            const gipc_numbers *groups) {
  return gipc_options_set_user(o, uid, gid,
                               groups ? (const gid_t *)groups->items : NULL,
                               groups ? groups->count : 0);
}
%}
OUTPUTS_OF_START(exec_process)
int exec_process(const gipc_words *argv, const gipc_options *options,
                 gipc_process **process);
OUTPUTS_OF_START(launch)
int launch(const gipc_words *argv, const gipc_options *options,
           gipc_process **process, gipc_handle **handle);
int options_keep_fds(gipc_options *o, const gipc_numbers *fds);
int options_set_user(gipc_options *o, uid_t uid, gid_t gid,
                     const gipc_numbers *groups);
%ignore gipc_exec_process;
%ignore gipc_launch;
%ignore gipc_options_keep_fds;
%ignore gipc_options_set_user;

/* The names of 0.1. */
%ignore gipc_get_start;
%ignore gipc_get_ahead;
%ignore gipc_options_leave_loop;
%rename("$ignore", regextarget=1) "^GIPC_HOW_";
%ignore GIPC_ENDED_UNBORN;

/* The blocking tier, and functions with C callbacks: the thin layers wait. */
%ignore gipc_get;
%ignore gipc_put;
%ignore gipc_put_many;
%ignore gipc_message;
%ignore gipc_flush;
%ignore gipc_close_within;
%ignore gipc_set_interruptible;
%ignore gipc_interrupt;
%ignore gipc_wait;
%rename("$ignore", regextarget=1) "^gipc_wait_set";
/* Scripts keep user data in their own objects. */
%rename("$ignore", regextarget=1) "^gipc_(handle|process)_(set_)?user$";
%ignore gipc_events;
%ignore gipc_start;
%ignore gipc_stop;
%ignore gipc_pause;
%ignore gipc_resume;
%ignore gipc_set_budget;
%ignore gipc_start_process;
%ignore gipc_options_set_fork;
%ignore gipc_options_release_signals;
%ignore gipc_exit_callback;
%ignore gipc_process_watch;
%ignore gipc_process_unwatch;
%ignore gipc_process_begin_stop;
/* Pools and keepers on a libev loop: each language has a driver on its own loops. */
%rename("$ignore", regextarget=1) "^gipc_(pool|pool_.*|keeper|keeper_.*|service_.*|result|worker_change|worker_function|work)$";
/* Where a runtime can be forked without its own hooks, it has calls of its own. */
%rename("$ignore", regextarget=1) "^gipc_template_";

%include "gipc_overview.i"

/* For the tests of policies. */
void stop_clock(double seconds);

/* ---- Steps -------------------------------------------------------------------- */

%constant int DONE = STEP_DONE;
%constant int WAIT = STEP_WAIT;
%constant int YIELD = STEP_YIELD;
%constant int LENT = STEP_LENT;
%constant int QUEUED = STEP_QUEUED;
%constant int LENT_FROM = LENT_FROM;

%define STEP(FUNCTION, STEP_FUNCTION)
%rename(FUNCTION) STEP_FUNCTION;
%ignore gipc_##FUNCTION;
int STEP_FUNCTION(gipc_handle *h);
%enddef
STEP(put_step, step_put_more)
STEP(flush_step, step_flush)
STEP(close, step_close)
STEP(shutdown, step_shutdown)
/* Policies and the messages of workers: each language has its own part of them,
 * see there. */
%rename("$ignore", %$isfunction, regextarget=1) "^gipc_(policy|rules|worker)_";
%rename("$ignore", regextarget=1)
    "^gipc_(policy|rules|task_rules|action|text|policy_stats|worker_(stats|message|change))$";
/* Parts of what each language has of its own: messages with descriptors. */
%rename("$ignore", %$isfunction, regextarget=1) "^gipc_((try_)?put_(with|handles)|take_(fds|handle)|try_put_fds|fds_.*)$";
%ignore gipc_fds;
%ignore GIPC_MOST_FDS;
%ignore GIPC_MOST_HANDLES;
%rename(close_fds) step_close_fds;
void step_close_fds(gipc_handle *h);
/* Parts of what each language has of its own. */
%ignore gipc_try_get;
%ignore gipc_try_put;
%ignore gipc_put_start;

%include "gipc.h"
