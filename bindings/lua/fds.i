/* The descriptors of the tasks of a pool.  native.i includes this file. */
%{
/* Duplicates of the descriptors of a task. */
typedef struct task_fds {
  gipc_fds *kept; /* NULL: closed */
} task_fds;

static void close_task_fds(task_fds *fds) {
  gipc_fds_free(fds->kept);
  fds->kept = NULL;
}

static task_fds *to_task_fds(lua_State *L, int index) {
  void *fds = NULL;
  if (!SWIG_IsOK(SWIG_ConvertPtr(L, index, &fds, SWIGTYPE_p_task_fds, 0)))
    luaL_argerror(L, index, "descriptors of a task are needed");
  return fds;
}

/* task_fds_new(list): duplicates; nil, message, code. */
static int task_fds_new(lua_State *L) {
  int fds[GIPC_MOST_FDS];
  size_t count = to_fds(L, 1, fds);
  task_fds *made = calloc(1, sizeof(*made));
  int result =
      made == NULL ? -ENOMEM : gipc_fds_new(fds, count, &made->kept);
  if (result < 0) {
    free(made);
    return push_failure(L, result);
  }
  SWIG_NewPointerObj(L, made, SWIGTYPE_p_task_fds, SWIG_POINTER_OWN);
  return 1;
}

/* policy_is_next(policy, worker, task): whether the worker is to answer this task next. */
static int policy_is_next(lua_State *L) {
  lua_pushboolean(L, is_next_task(to_policy(L, 1), to_id(L, 2), to_id(L, 3)));
  return 1;
}

/* put_task(handle, string, descriptors): true: it is written; false: bytes of it are queued;
 * nil, message, code: they cannot be sent; nil, nil, code: it is not put. */
static int put_task(lua_State *L) {
  gipc_handle *h = to_handle(L, 1);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  int result = gipc_try_put_fds(h, data, size, to_task_fds(L, 3)->kept);
  if (is_refusal(result))
    return push_failure(L, result);
  if (result < 0) {
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushinteger(L, result);
    return 3;
  }
  lua_pushboolean(L, gipc_flush_step(h) != -EAGAIN);
  return 1;
}
%}
typedef struct task_fds {} task_fds;
%extend task_fds { ~task_fds() { close_task_fds($self); free($self); } }
%native(task_fds_new) int task_fds_new(lua_State *L);
%native(put_task) int put_task(lua_State *L);
%native(policy_is_next) int policy_is_next(lua_State *L);
void close_task_fds(task_fds *fds);
