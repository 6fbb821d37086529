/* What a keeper of services needs of C, besides what a pool does: its policy, and the
 * sockets of readiness.  native.i includes this file. */
%{
/* Reads the rules of a table on the top: 0, or the index of the function's results. */
static int read_rules(lua_State *L, gipc_rules *rules, lua_Integer index) {
  const char *wrong = NULL;
  int code = 0, table = lua_gettop(L);
  rules->size = sizeof(*rules);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    const char *name = lua_tostring(L, -2);
    code = gipc_rules_set(rules, name, lua_tonumber(L, -1));
    if (code < 0) {
      wrong = name;
      break;
    }
  }
  if (wrong == NULL && (wrong = gipc_rules_wrong(rules)) != NULL)
    code = -EINVAL;
  if (wrong == NULL)
    return 0;
  int pushed = wrong_rule(L, wrong, code);
  lua_pushinteger(L, index);
  return pushed + 1;
}

/* policy_new_keeper(strategy, list): list has { name = number } of each service.
 * nil, name, code, index: that rule of that service does not exist, or is not valid. */
static int policy_new_keeper(lua_State *L) {
  gipc_policy *policy;
  int strategy = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
#if LUA_VERSION_NUM >= 502
  size_t count = lua_rawlen(L, 2);
#else
  size_t count = lua_objlen(L, 2);
#endif
  gipc_rules *rules = lua_newuserdata(L, (count + 1) * sizeof(*rules));
  const gipc_rules **each = lua_newuserdata(L, (count + 1) * sizeof(*each));
  memset(rules, 0, (count + 1) * sizeof(*rules));
  for (size_t i = 0; i < count; ++i) {
    lua_rawgeti(L, 2, (int)i + 1);
    int pushed = read_rules(L, &rules[i], (lua_Integer)i + 1);
    if (pushed != 0)
      return pushed;
    lua_pop(L, 1);
    each[i] = &rules[i];
  }
  int result = gipc_policy_new_keeper(strategy, each, count, &policy);
  if (result < 0)
    return push_failure(L, result);
  SWIG_NewPointerObj(L, policy, SWIGTYPE_p_gipc_policy, SWIG_POINTER_OWN);
  return 1;
}

static int policy_ready(lua_State *L) {
  return push_done(L, gipc_policy_ready(to_policy(L, 1), to_id(L, 2), now()));
}

static int policy_alive(lua_State *L) {
  return push_done(L, gipc_policy_alive(to_policy(L, 1), to_id(L, 2), now()));
}

/* policy_reload(policy, service): its index, from 1 on. */
static int policy_reload(lua_State *L) {
  return push_done(L, gipc_policy_reload(to_policy(L, 1),
                                         (size_t)luaL_checkinteger(L, 2) - 1,
                                         now()));
}
%}
%native(policy_new_keeper) int policy_new_keeper(lua_State *L);
%native(policy_ready) int policy_ready(lua_State *L);
%native(policy_alive) int policy_alive(lua_State *L);
%native(policy_reload) int policy_reload(lua_State *L);

/* ---- Readiness ---- */

/* Closes it now, not when its object is collected. */
%apply SWIGTYPE *DISOWN { gipc_notify_socket *closed };
%inline %{
static void notify_socket_close(gipc_notify_socket *closed) {
  gipc_notify_socket_free(closed);
}
%}
