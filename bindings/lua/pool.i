/* What a pool of workers needs of C: its policy, the messages of its workers, and one
 * descriptor to wait for all of them.  keeper.i uses most of it.  native.i includes this file. */
%{
static gipc_policy *to_policy(lua_State *L, int index) {
  void *policy = NULL;
  if (!SWIG_IsOK(
          SWIG_ConvertPtr(L, index, &policy, SWIGTYPE_p_gipc_policy, 0)))
    luaL_argerror(L, index, "a policy is needed");
  return policy;
}

/* Numbers of tasks and workers: as exact as a double is, for some thousand years. */
static uint64_t to_id(lua_State *L, int index) {
  return (uint64_t)luaL_checknumber(L, index);
}

static void push_id(lua_State *L, uint64_t id) {
  lua_pushinteger(L, (lua_Integer)id);
}

/* true, or nil, message, code. */
static int push_done(lua_State *L, int result) {
  if (result < 0)
    return push_failure(L, result);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- The policy of a pool ---- */

static int wrong_rule(lua_State *L, const char *name, int code) {
  lua_pushnil(L);
  lua_pushstring(L, name);
  lua_pushinteger(L, code);
  return 3;
}

/* policy_new_pool(rules): rules is { name = number }.  nil, name, code: that rule
 * does not exist (ENOENT), or is not valid (EINVAL). */
static int policy_new_pool(lua_State *L) {
  gipc_rules rules = {0};
  gipc_policy *policy;
  rules.size = sizeof(rules);
  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    const char *name = lua_tostring(L, -2);
    int result = gipc_rules_set(&rules, name, luaL_checknumber(L, -1));
    if (result < 0)
      return wrong_rule(L, name, result);
  }
  const char *wrong = gipc_rules_wrong(&rules);
  if (wrong != NULL)
    return wrong_rule(L, wrong, -EINVAL);
  int result = gipc_policy_new_pool(&rules, &policy);
  if (result < 0)
    return push_failure(L, result);
  SWIG_NewPointerObj(L, policy, SWIGTYPE_p_gipc_policy, SWIG_POINTER_OWN);
  return 1;
}

/* policy_submit(policy, timeout, priority, retries, retry_for): the task. */
static int policy_submit(lua_State *L) {
  gipc_task_rules rules = {0};
  uint64_t task;
  rules.size = sizeof(rules);
  rules.timeout = luaL_checknumber(L, 2);
  rules.priority = (int)luaL_checkinteger(L, 3);
  rules.retries = (int)luaL_checkinteger(L, 4);
  rules.retry_for = (int)luaL_checkinteger(L, 5);
  int result = gipc_policy_submit(to_policy(L, 1), &rules, &task);
  if (result < 0)
    return push_failure(L, result);
  push_id(L, task);
  return 1;
}

static int policy_cancel(lua_State *L) {
  return push_done(L, gipc_policy_cancel(to_policy(L, 1), to_id(L, 2), now()));
}

static int policy_started(lua_State *L) {
  return push_done(L, gipc_policy_started(to_policy(L, 1), to_id(L, 2),
                                          (pid_t)luaL_checkinteger(L, 3), now()));
}

static int policy_start_failed(lua_State *L) {
  return push_done(L,
                   gipc_policy_start_failed(to_policy(L, 1), to_id(L, 2),
                                            (int)luaL_checkinteger(L, 3), now()));
}

/* policy_ended(policy, worker, process): process has ended. */
static int policy_ended(lua_State *L) {
  void *process = NULL;
  gipc_exit_info info = {0};
  gipc_policy *policy = to_policy(L, 1);
  info.size = sizeof(info);
  if (!SWIG_IsOK(
          SWIG_ConvertPtr(L, 3, &process, SWIGTYPE_p_gipc_process, 0)))
    return luaL_argerror(L, 3, "a process is needed");
  int result = gipc_process_info(process, &info);
  if (result == 0)
    result = gipc_policy_ended(policy, to_id(L, 2), &info, now());
  return push_done(L, result);
}

static int policy_misbehaved(lua_State *L) {
  return push_done(L,
                   gipc_policy_misbehaved(to_policy(L, 1), to_id(L, 2), now()));
}

/* policy_refused(policy, worker, task, code): the task could not be put. */
static int policy_refused(lua_State *L) {
  return push_done(L, gipc_policy_refused(to_policy(L, 1), to_id(L, 2),
                                          to_id(L, 3),
                                          (int)luaL_checkinteger(L, 4), now()));
}

static int policy_memory(lua_State *L) {
  return push_done(L, gipc_policy_memory(to_policy(L, 1), to_id(L, 2),
                                         to_id(L, 3), now()));
}

static int policy_stop(lua_State *L) {
  return push_done(
      L, gipc_policy_stop(to_policy(L, 1), luaL_checknumber(L, 2), now()));
}

/* policy_next(policy): kind, worker, task, why, attempt, error, service (from 1 on);
 * nothing when there is nothing to do. */
static int policy_next(lua_State *L) {
  gipc_action action = {0};
  action.size = sizeof(action);
  int result = gipc_policy_next(to_policy(L, 1), now(), &action);
  if (result < 0)
    return push_failure(L, result);
  if (result == 0)
    return 0;
  lua_pushinteger(L, action.kind);
  push_id(L, action.worker);
  push_id(L, action.task);
  lua_pushinteger(L, action.why);
  lua_pushinteger(L, action.attempt);
  lua_pushinteger(L, action.error);
  lua_pushinteger(L, (lua_Integer)action.service + 1);
  return 7;
}

/* policy_next_time(policy): on the clock of now(); infinity: no time. */
static int policy_next_time(lua_State *L) {
  lua_pushnumber(L, gipc_policy_next_time(to_policy(L, 1)));
  return 1;
}

static void set_field(lua_State *L, const char *name, double number) {
  if (number == (double)(lua_Integer)number)
    lua_pushinteger(L, (lua_Integer)number);
  else
    lua_pushnumber(L, number);
  lua_setfield(L, -2, name);
}

/* policy_get_stats(policy): a table; its list has the finished tasks by gipc_why. */
static int policy_get_stats(lua_State *L) {
  gipc_policy_stats stats = {0};
  stats.size = sizeof(stats);
  int result = gipc_policy_get_stats(to_policy(L, 1), &stats);
  if (result < 0)
    return push_failure(L, result);
  lua_newtable(L);
#define FIELD(NAME) set_field(L, #NAME, (double)stats.NAME)
  FIELD(queued);
  FIELD(running);
  FIELD(workers);
  FIELD(starting);
  FIELD(submitted);
  FIELD(retries);
  FIELD(starts);
  FIELD(failures);
#undef FIELD
  for (int why = 1; why < 16; ++why) {
    push_id(L, stats.finished[why]);
    lua_rawseti(L, -2, why);
  }
  return 1;
}

/* policy_worker_stats(policy, slot): a table; nil, message, ENOENT: no such slot. */
static int policy_worker_stats(lua_State *L) {
  gipc_worker_stats stats = {0};
  stats.size = sizeof(stats);
  int result = gipc_policy_worker_stats(
      to_policy(L, 1), (size_t)luaL_checkinteger(L, 2), &stats);
  if (result < 0)
    return push_failure(L, result);
  lua_newtable(L);
#define FIELD(NAME) set_field(L, #NAME, (double)stats.NAME)
  FIELD(worker);
  FIELD(tasks);
  FIELD(task);
  FIELD(pid);
  FIELD(state);
#undef FIELD
  lua_pushnumber(L, stats.busy);
  lua_setfield(L, -2, "busy");
  return 1;
}

/* ---- Messages of workers ---- */

static void read_text(lua_State *L, int index, gipc_text *text) {
  text->data = luaL_optlstring(L, index, "", &text->size);
}

/* worker_encode(kind, task, attempt, data, type, text, trace): a string; what a kind
 * of message does not have may be left out. */
static int worker_encode(lua_State *L) {
  gipc_worker_message message = {0};
  size_t needed = 0;
  message.size = sizeof(message);
  message.kind = luaL_checkstring(L, 1)[0];
  message.task = (uint64_t)luaL_optnumber(L, 2, 0);
  message.attempt = (uint32_t)luaL_optnumber(L, 3, 0);
  message.data = luaL_optlstring(L, 4, "", &message.data_size);
  read_text(L, 5, &message.type);
  read_text(L, 6, &message.text);
  read_text(L, 7, &message.trace);
  int result = gipc_worker_encode(&message, NULL, 0, &needed);
  if (result != -EMSGSIZE)
    return push_failure(L, result < 0 ? result : -EINVAL);
  void *bytes = lua_newuserdata(L, needed);
  result = gipc_worker_encode(&message, bytes, needed, &needed);
  if (result < 0)
    return push_failure(L, result);
  lua_pushlstring(L, bytes, needed);
  return 1;
}

/* kind, task, data, attempt, type, text, trace. */
static int push_message(lua_State *L, const gipc_worker_message *message) {
  char kind = (char)message->kind;
  lua_pushlstring(L, &kind, 1);
  push_id(L, message->task);
  lua_pushlstring(L, message->data_size ? message->data : "",
                  message->data_size);
  lua_pushinteger(L, (lua_Integer)message->attempt);
  if (kind != GIPC_MESSAGE_FAILED)
    return 4;
  lua_pushlstring(L, message->type.data, message->type.size);
  lua_pushlstring(L, message->text.data, message->text.size);
  lua_pushlstring(L, message->trace.data, message->trace.size);
  return 7;
}

/* worker_decode(data): what push_message() pushes. */
static int worker_decode(lua_State *L) {
  gipc_worker_message message = {0};
  size_t size;
  const char *data = luaL_checklstring(L, 1, &size);
  message.size = sizeof(message);
  int result = gipc_worker_decode(data, size, &message);
  return result < 0 ? push_failure(L, result) : push_message(L, &message);
}

/* policy_received(policy, worker, data): the same, when it is reported. */
static int policy_received(lua_State *L) {
  gipc_worker_message message = {0};
  size_t size;
  const char *data = luaL_checklstring(L, 3, &size);
  message.size = sizeof(message);
  int result = gipc_policy_received(to_policy(L, 1), to_id(L, 2), data, size,
                                    now(), &message);
  return result < 0 ? push_failure(L, result) : push_message(L, &message);
}

/* ---- Waiting for many descriptors ---- */

/* Watches fd for these directions, 0: no longer; key is returned when it is ready. */
static int epoll_watch(descriptor *d, int fd, int directions, double key) {
  struct epoll_event event = {0};
  if (directions == 0)
    return epoll_ctl(fd_of(d), EPOLL_CTL_DEL, fd, &event) < 0 ? -errno : 0;
  event.events = (directions & GIPC_READ ? EPOLLIN : 0) |
                 (directions & GIPC_WRITE ? EPOLLOUT : 0);
  event.data.u64 = (uint64_t)key;
  int result = epoll_ctl(fd_of(d), EPOLL_CTL_ADD, fd, &event);
  if (result < 0 && errno == EEXIST)
    result = epoll_ctl(fd_of(d), EPOLL_CTL_MOD, fd, &event);
  return result < 0 ? -errno : 0;
}

/* epoll_ready(epoll): a list of the keys that are ready, of some dozens at most. */
static int epoll_ready(lua_State *L) {
  void *d = NULL;
  struct epoll_event events[64];
  if (!SWIG_IsOK(SWIG_ConvertPtr(L, 1, &d, SWIGTYPE_p_descriptor, 0)))
    return luaL_argerror(L, 1, "a descriptor is needed");
  int count = epoll_wait(fd_of(d), events, 64, 0);
  lua_newtable(L);
  for (int i = 0; i < count; ++i) {
    push_id(L, events[i].data.u64);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* read_some(fd): bytes that are there; "" at the end; nil alone: none yet. */
static int read_some(lua_State *L) {
  char bytes[4096];
  struct pollfd entry = {(int)luaL_checkinteger(L, 1), POLLIN, 0};
  ssize_t size = poll(&entry, 1, 0) > 0 ? read(entry.fd, bytes, sizeof(bytes)) : -1;
  if (size < 0)
    return 0;
  lua_pushlstring(L, bytes, (size_t)size);
  return 1;
}

/* memory_of(pid): the resident bytes of a process; nil alone: they are not known. */
static int memory_of(lua_State *L) {
  char path[40];
  long pages;
  snprintf(path, sizeof(path), "/proc/%d/statm", (int)luaL_checkinteger(L, 1));
  FILE *file = fopen(path, "re");
  if (file == NULL)
    return 0;
  int found = fscanf(file, "%*d %ld", &pages);
  fclose(file);
  if (found != 1)
    return 0;
  lua_pushinteger(L, (lua_Integer)pages * sysconf(_SC_PAGESIZE));
  return 1;
}

static int this_pid(void) { return (int)getpid(); }
%}
%rename(Policy) gipc_policy;
typedef struct gipc_policy {} gipc_policy;
%extend gipc_policy { ~gipc_policy() { gipc_policy_free($self); } }
%native(policy_new_pool) int policy_new_pool(lua_State *L);
%native(policy_submit) int policy_submit(lua_State *L);
%native(policy_cancel) int policy_cancel(lua_State *L);
%native(policy_started) int policy_started(lua_State *L);
%native(policy_start_failed) int policy_start_failed(lua_State *L);
%native(policy_ended) int policy_ended(lua_State *L);
%native(policy_misbehaved) int policy_misbehaved(lua_State *L);
%native(policy_refused) int policy_refused(lua_State *L);
%native(policy_memory) int policy_memory(lua_State *L);
%native(policy_stop) int policy_stop(lua_State *L);
%native(policy_next) int policy_next(lua_State *L);
%native(policy_next_time) int policy_next_time(lua_State *L);
%native(policy_get_stats) int policy_get_stats(lua_State *L);
%native(policy_worker_stats) int policy_worker_stats(lua_State *L);
%native(policy_received) int policy_received(lua_State *L);
%native(worker_encode) int worker_encode(lua_State *L);
%native(worker_decode) int worker_decode(lua_State *L);
%native(epoll_ready) int epoll_ready(lua_State *L);
%native(read_some) int read_some(lua_State *L);
%native(memory_of) int memory_of(lua_State *L);
int epoll_watch(descriptor *d, int fd, int directions, double key);
int this_pid(void);
