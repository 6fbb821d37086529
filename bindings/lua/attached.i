/* What messages bring beside their bytes: handles, which move, and descriptors.
 * native.i includes this file. */
%{
/* The items of the list at this index, at most so many: their number. */
static size_t list_length(lua_State *L, int index, int most, const char *what) {
  luaL_checktype(L, index, LUA_TTABLE);
  for (int i = 0;; ++i) {
    lua_rawgeti(L, index, i + 1);
    int is_end = lua_isnil(L, -1);
    lua_pop(L, 1);
    if (is_end)
      return (size_t)i;
    if (i == most)
      (void)luaL_error(L, "at most %d %s are possible", most, what);
  }
}

/* Stores the descriptors of a list, and returns how many there are. */
static size_t to_fds(lua_State *L, int index, int fds[GIPC_MOST_FDS]) {
  luaL_checktype(L, index, LUA_TTABLE);
  for (int count = 0;; ++count) {
    lua_rawgeti(L, index, count + 1);
    if (lua_isnil(L, -1))
      return (size_t)count;
    if (count == GIPC_MOST_FDS)
      luaL_error(L, "at most %d descriptors are possible", GIPC_MOST_FDS);
    if (!lua_isnumber(L, -1))
      luaL_error(L, "a list of descriptors is needed");
    fds[count] = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
}

/* queue_with(handle, string, list of handles, list of descriptors): appends a message to
 * the queue, or writes it: an outcome. */
static int queue_with(lua_State *L) {
  gipc_attached with;
  gipc_handle *h = to_handle(L, 1);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  with.handle_count = list_length(L, 3, GIPC_MOST_HANDLES, "handles");
  with.fd_count = to_fds(L, 4, with.fds);
  for (size_t i = 0; i < with.handle_count; ++i) {
    lua_rawgeti(L, 3, (int)i + 1);
    with.handles[i] = to_handle(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  return push_outcome(L, step_queue_with(h, data, size, &with));
}

/* take_handle(handle): the next handle of the message that was returned last, or false. */
static int take_handle(lua_State *L) {
  gipc_handle *taken;
  int result = gipc_take_handle(to_handle(L, 1), &taken);
  if (result == 0)
    SWIG_NewPointerObj(L, taken, SWIGTYPE_p_gipc_handle, 1);
  else if (result == -ENOENT)
    lua_pushboolean(L, 0);
  else
    return push_outcome(L, result);
  return 1;
}

/* take_fds(handle): the descriptors of the message that was returned last, in a list. */
static int take_fds(lua_State *L) {
  int fds[GIPC_MOST_FDS];
  gipc_handle *h = to_handle(L, 1);
  lua_createtable(L, GIPC_MOST_FDS, 0); /* before they are taken */
  int count = gipc_take_fds(h, fds, GIPC_MOST_FDS);
  if (count < 0)
    return push_outcome(L, count);
  for (int i = 0; i < count; ++i) {
    lua_pushinteger(L, fds[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}
%}
%native(queue_with) int queue_with(lua_State *L);
%native(take_fds) int take_fds(lua_State *L);
%native(take_handle) int take_handle(lua_State *L);
