/* Tracebacks on a signal: gipc/policy/trace.lua.  native.i includes this file. */
%{
static lua_State *volatile running_state; /* the coroutine that runs */
static char trace_key;                    /* of the function that prints */

static void print_trace(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  lua_pushlightuserdata(L, &trace_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_pcall(L, 0, 0, 0) != 0)
    lua_pop(L, 1);
}

/* lua_sethook() may be called in a handler. */
static void request_trace(int signal) {
  (void)signal;
  lua_sethook(running_state, print_trace,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* trace_on(signal, print): calls print() in the coroutine that runs, after the
 * signal. */
static int trace_on(lua_State *L) {
  struct sigaction action = {0};
  int signal = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_pushlightuserdata(L, &trace_key);
  lua_insert(L, 2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  running_state = L;
  action.sa_handler = request_trace;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return push_done(L, sigaction(signal, &action, NULL) < 0 ? -errno : 0);
}

/* trace_running(coroutine): that runs from now on; none: the caller. */
static int trace_running(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  running_state = co != NULL ? co : L;
  return 0;
}
%}
%native(trace_on) int trace_on(lua_State *L);
%native(trace_running) int trace_running(lua_State *L);
