/* gipc.native: the step tier for Lua, private to the module.
 *
 * Results are Lua's: the values, or `nil, message, code`, or nil alone for
 * -EAGAIN.  The Lua layer decides which of these is an error().  C raises a Lua error
 * only while no call of the library is in progress. */
%module native

%{
#include "scheduler.h"

#include <endian.h>
#include <errno.h>
#include <gipc.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
%}

/* ---- Results ----------------------------------------------------------------- */

%{
static int push_failure(lua_State *L, int code) {
  lua_pushnil(L);
  if (code == -EAGAIN)
    return 1;
  lua_pushstring(L, gipc_strerror(code));
  lua_pushinteger(L, code);
  return 3;
}
%}
%typemap(out) int {
  if ($1 < 0)
    return push_failure(L, $1);
  lua_pushinteger(L, $1);
  SWIG_arg = 1;
}
%typemap(out) int OUTPUTS {
  if ($1 < 0)
    return push_failure(L, $1);
}
%typemap(out) int STARTED = int OUTPUTS;
/* SWIG's own would make floats of them. */
%typemap(out) uint64_t, long, size_t {
  lua_pushinteger(L, (lua_Integer)$1);
  SWIG_arg++;
}
#define APPEND_OBJECT(POINTER, TYPE, OWNED) \
  do { SWIG_NewPointerObj(L, POINTER, TYPE, OWNED); SWIG_arg++; } while (0)
#define APPEND_INTEGER(NUMBER) \
  do { lua_pushinteger(L, (lua_Integer)(NUMBER)); SWIG_arg++; } while (0)

/* ---- Strings ----------------------------------------------------------------- */

/* A string, not a number.  The caller keeps a string that is borrowed past the call
 * (put_lent); Lua never moves a string. */
%{
static int is_string(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING;
}
%}
%typemap(in, checkfn = "is_string") (const void *data, size_t size) {
  $1 = (void *)lua_tolstring(L, $input, &$2);
}

/* Lua cannot receive into a string. */
%ignore gipc_next_size;
%ignore gipc_get_into;
%ignore gipc_get_cancel;
/* fork_process, below. */
%ignore gipc_fork_prepare;
%ignore gipc_fork_parent;
%ignore gipc_fork_child;
%ignore gipc_exit;
/* Lua's loops watch a child through its pidfd only. */
%ignore gipc_process_report;
%ignore gipc_process_join;
%ignore gipc_process_stop;
%ignore gipc_options_set_rlimit;

%include "../gipc.i"

%{
static gipc_handle *to_handle(lua_State *L, int index) {
  void *h = NULL;
  if (!SWIG_IsOK(
          SWIG_ConvertPtr(L, index, &h, SWIGTYPE_p_gipc_handle, 0)))
    luaL_argerror(L, index, "a handle is needed");
  return h;
}

/* An outcome, or nil, message, code. */
static int push_outcome(lua_State *L, int result) {
  if (result < 0)
    return push_failure(L, result);
  lua_pushinteger(L, result);
  return 1;
}

/* take(handle): DONE and the next message, or another outcome. */
static int take(lua_State *L) {
  const void *data;
  size_t size;
  int result = step_get(to_handle(L, 1), &data, &size);
  int pushed = push_outcome(L, result);
  if (result != STEP_DONE)
    return pushed;
  lua_pushlstring(L, data, size);
  return 2;
}

static int put_with(lua_State *L,
                    int (*step)(gipc_handle *, const void *, size_t)) {
  gipc_handle *h = to_handle(L, 1);
  size_t size;
  if (!is_string(L, 2))
    return luaL_argerror(L, 2, "a string is needed");
  const char *data = lua_tolstring(L, 2, &size);
  int result = step(h, data, size);
  if (result == -ENOMEM) { /* the library may use its memory from now on */
    lua_pushvalue(L, 2);
    (void)luaL_ref(L, LUA_REGISTRYINDEX);
  }
  return push_outcome(L, result);
}

/* put(handle, string): an outcome. */
static int put(lua_State *L) { return put_with(L, step_put); }

/* put_lent(handle, string): an outcome.  LENT: the caller keeps the string. */
static int put_lent(lua_State *L) { return put_with(L, step_put_lent); }

/* queue(handle, list, first): queues the strings of a list from index first on: an
 * outcome, and the index of the first one that was not queued; LENT: it is large.
 * Or nil, message, code, and the index of the last one that was queued. */
static int queue(lua_State *L) {
  gipc_handle *h = to_handle(L, 1);
  lua_Integer i = luaL_checkinteger(L, 3);
  int result = STEP_DONE;
  luaL_checktype(L, 2, LUA_TTABLE);
  for (;; ++i) {
    size_t size;
    lua_rawgeti(L, 2, (int)i);
    if (lua_isnil(L, -1))
      break;
    if (!is_string(L, -1))
      return luaL_error(L, "a list of strings is needed");
    const char *data = lua_tolstring(L, -1, &size);
    result = size >= LENT_FROM ? STEP_LENT : step_queue(h, data, size);
    lua_pop(L, 1);
    if (result != STEP_DONE)
      break;
  }
  int pushed = push_outcome(L, result);
  lua_pushinteger(L, result < 0 ? i - 1 : i);
  return pushed + 1;
}

/* is_utf8(s): whether a peer can decode s as text. */
static int is_utf8(lua_State *L) {
  size_t size;
  const unsigned char *s =
      (const unsigned char *)luaL_checklstring(L, 1, &size);
  const unsigned char *end = s + size;
  bool valid = true;
  while (valid && s < end) {
    unsigned char c = *s++;
    if (c < 0x80)
      continue;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || end - s < more) {
      valid = false;
      break;
    }
    /* Neither overlong, nor a surrogate, nor over U+10FFFF. */
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    valid = s[0] >= low && s[0] <= high;
    for (int i = 1; i < more; ++i)
      valid = valid && (s[i] & 0xc0) == 0x80;
    s += more;
  }
  lua_pushboolean(L, valid);
  return 1;
}
%}
%native(take) int take(lua_State *L);
%native(put) int put(lua_State *L);
%native(put_lent) int put_lent(lua_State *L);
%native(queue) int queue(lua_State *L);
%native(is_utf8) int is_utf8(lua_State *L);
%include "attached.i"

/* MessagePack's float 64, for a Lua whose string library has no pack. */
%{
static int bytes_of_double(lua_State *L) {
  union {
    double number;
    uint64_t bits;
  } u = {luaL_checknumber(L, 1)};
  uint64_t bytes = htobe64(u.bits);
  lua_pushlstring(L, (const char *)&bytes, sizeof bytes);
  return 1;
}

static int double_of_bytes(lua_State *L) {
  union {
    uint64_t bits;
    double number;
  } u = {0};
  size_t size;
  const char *bytes = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, size == sizeof u.bits, 1, "not 8 bytes");
  memcpy(&u.bits, bytes, size);
  u.bits = be64toh(u.bits);
  lua_pushnumber(L, u.number);
  return 1;
}
%}
%native(bytes_of_double) int bytes_of_double(lua_State *L);
%native(double_of_bytes) int double_of_bytes(lua_State *L);

/* ---- Waiting ----------------------------------------------------------------- */

%{
/* poll_fd(fd, direction, timeout): blocks until fd (-1: none) is ready: true,
 * or timeout seconds (< 0: never) are over: false.  nil alone: a signal came;
 * Lua has returned from C then, so that a hook set by its handler can run. */
static int poll_fd(lua_State *L) {
  struct pollfd entry = poll_entry((int)luaL_checkinteger(L, 1),
                                   (int)luaL_checkinteger(L, 2));
  int ready = poll_within(&entry, 1, luaL_checknumber(L, 3));
  if (ready < 0)
    return push_failure(L, ready == -EINTR ? -EAGAIN : ready);
  lua_pushboolean(L, ready > 0);
  return 1;
}

static int close_fd(int fd) { return close(fd) < 0 ? -errno : 0; }

typedef struct scheduler gipc_scheduler;
%}
double now(void);
int close_fd(int fd);
%native(poll_fd) int poll_fd(lua_State *L);

%rename(Scheduler) scheduler;
typedef struct scheduler {} scheduler;
%extend scheduler { ~scheduler() { scheduler_free($self); } }
%newobject scheduler_new;
OUTPUT_NUMBER(int, timed_out)
scheduler *scheduler_new(void);
int scheduler_watch(scheduler *s, int fd, int direction, double timeout);
int scheduler_forget(scheduler *s, int token);
int scheduler_forget_fd(scheduler *s, int fd);
int scheduler_run(scheduler *s, int block);
int scheduler_next(scheduler *s, int *timed_out);

%include "descriptors.i"

/* ---- Handles ----------------------------------------------------------------- */

%{
/* Closes at once; queued bytes that cannot be written now are discarded. */
static int abort_handle(gipc_handle *h) {
  int result = gipc_close_within(h, 0);
  return result == -ETIMEDOUT ? 0 : result;
}

/* Shuts a socket down, which makes it readable and writable: all waits end. */
static int shut(int fd) { return shutdown(fd, SHUT_RDWR) < 0 ? -errno : 0; }
%}
int abort_handle(gipc_handle *h);
int shut(int fd);
%rename(get_would_not_wait) step_get_would_not_wait;
int step_get_would_not_wait(gipc_handle *h);

/* A set of gipc_wait(), used with a timeout of 0 only. */
%rename(WaitSet) gipc_wait_set;
typedef struct gipc_wait_set {} gipc_wait_set;
%extend gipc_wait_set { ~gipc_wait_set() { gipc_wait_set_free($self); } }
OUTPUT(gipc_wait_set, set, SWIG_POINTER_OWN)
OUTPUTS_OF(wait_set_new)
%{
static int wait_set_new(gipc_wait_set **set) { return gipc_wait_set_new(set); }
static int wait_set_add_handle(gipc_wait_set *set, gipc_handle *h,
                               int directions) {
  return gipc_wait_set_add_handle(set, h, directions);
}
static int wait_set_add_process(gipc_wait_set *set, gipc_process *p) {
  return gipc_wait_set_add_process(set, p);
}

/* ready(set): a table whose keys are the addresses of the members that are ready,
 * as light userdata; nil: none is. */
static int ready(lua_State *L) {
  void *set = NULL;
  gipc_handle *h;
  gipc_process *p;
  int directions;
  if (!SWIG_IsOK(
          SWIG_ConvertPtr(L, 1, &set, SWIGTYPE_p_gipc_wait_set, 0)))
    return luaL_argerror(L, 1, "a set is needed");
  int result = gipc_wait(set, 0);
  if (result < 0)
    return push_failure(L, result == -ETIMEDOUT ? -EAGAIN : result);
  lua_newtable(L);
  while (gipc_wait_set_next(set, &h, &p, &directions) >= 0) {
    lua_pushlightuserdata(L, h ? (void *)h : (void *)p);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
  return 1;
}

/* address(object): that of a handle or a process. */
static int address(lua_State *L) {
  void *object = NULL;
  if (!SWIG_IsOK(SWIG_ConvertPtr(L, 1, &object, SWIGTYPE_p_gipc_handle, 0)) &&
      !SWIG_IsOK(SWIG_ConvertPtr(L, 1, &object, SWIGTYPE_p_gipc_process, 0)))
    return luaL_argerror(L, 1, "a handle or a process is needed");
  lua_pushlightuserdata(L, object);
  return 1;
}
%}
int wait_set_new(gipc_wait_set **set);
int wait_set_add_handle(gipc_wait_set *set, gipc_handle *h, int directions);
int wait_set_add_process(gipc_wait_set *set, gipc_process *p);
%native(ready) int ready(lua_State *L);
%native(address) int address(lua_State *L);

/* ---- Processes --------------------------------------------------------------- */

%{
/* Numbers of Lua are signed, or doubles: < 0 is no limit. */
static int set_rlimit(gipc_options *o, int resource, double soft, double hard) {
  return gipc_options_set_rlimit(o, resource,
                                 soft < 0 ? UINT64_MAX : (uint64_t)soft,
                                 hard < 0 ? UINT64_MAX : (uint64_t)hard);
}
%}
int set_rlimit(gipc_options *o, int resource, double soft, double hard);

%{
/* fork_process(options): the process, or false in the child. */
static int fork_process(lua_State *L) {
  void *options = NULL;
  gipc_fork_context *f;
  gipc_process *process;
  if (!SWIG_IsOK(
          SWIG_ConvertPtr(L, 1, &options, SWIGTYPE_p_gipc_options, 0)))
    return luaL_argerror(L, 1, "options are needed");
  /* The parent writes what is buffered now; the child must not write it again. */
  fflush(NULL);
  int result = gipc_fork_prepare(options, &f);
  if (result < 0)
    return push_failure(L, result);
  pid_t pid = fork();
  if (pid == 0) {
    if (gipc_fork_child(f) < 0)
      gipc_exit(GIPC_EXIT_ESCAPED);
    renew_budget();
    lua_pushboolean(L, 0);
    return 1;
  }
  result = gipc_fork_parent(f, pid, &process);
  if (result < 0)
    return push_failure(L, result);
  SWIG_NewPointerObj(L, process, SWIGTYPE_p_gipc_process, SWIG_POINTER_OWN);
  return 1;
}

static void exit_child(int code, int ended) {
  fflush(NULL);
  gipc_exit_as(code, ended);
}

/* file_fd(file): the descriptor of one of Lua's files, nil of anything else. */
static int file_fd(lua_State *L) {
  lua_settop(L, 1);
  if (!lua_isuserdata(L, 1) || !lua_getmetatable(L, 1))
    return 0;
  luaL_getmetatable(L, LUA_FILEHANDLE);
  if (!lua_rawequal(L, -1, -2))
    return 0;
  /* In every Lua the FILE comes first; it is NULL in a closed one. */
  FILE *file = *(FILE **)lua_touserdata(L, 1);
  if (file == NULL)
    return 0;
  fflush(file);
  lua_pushinteger(L, fileno(file));
  return 1;
}
%}
void exit_child(int code, int ended);
%native(fork_process) int fork_process(lua_State *L);
%native(file_fd) int file_fd(lua_State *L);

%include "template.i"

/* ---- Pools and keepers ------------------------------------------------------- */

%include "pool.i"
%include "fds.i"
%include "keeper.i"
%include "trace.i"

/* ---- The module -------------------------------------------------------------- */

%include "names.i"

%{
/* null(): what stands for null in messages; cjson has the same. */
static int null(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
  return 1;
}

SWIGEXPORT int luaopen_native(lua_State *L);

static void push_globals(lua_State *L) {
#if LUA_VERSION_NUM >= 502
  lua_pushglobaltable(L);
#else
  lua_pushvalue(L, LUA_GLOBALSINDEX);
#endif
}

/* What `require "gipc.native"` calls.  SWIG's own function writes globals, which a
 * program may have forbidden by a metatable, and leaves two helpers of it. */
SWIGEXPORT int luaopen_gipc_native(lua_State *L) {
  static const char *const helpers[] = {"swig_type", "swig_equals"};
  lua_settop(L, 0);
  push_globals(L);
  if (!lua_getmetatable(L, 1))
    lua_pushnil(L);
  lua_pushnil(L);
  lua_setmetatable(L, 1);
  for (int i = 0; i < 2; ++i)
    lua_getfield(L, 1, helpers[i]);
  luaopen_native(L);
  for (int i = 0; i < 2; ++i) {
    lua_pushvalue(L, 3 + i);
    lua_setfield(L, 1, helpers[i]);
  }
  lua_pushvalue(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}
%}
%native(null) int null(lua_State *L);

/* Closes its descriptors now, not when the object is collected. */
%apply SWIGTYPE *DISOWN { gipc_process *closed };
%inline %{
static void process_close(gipc_process *closed) { gipc_process_free(closed); }
%}
