/* gipc.native: the step tier for Lua, private to the module. */
%module native
%typemap(out) int {
  if ($1 < 0)
    return push_error(L, $1);
  lua_pushinteger(L, $1);
  SWIG_arg = 1;
}
%typemap(out) int OUTPUTS {
  if ($1 < 0)
    return push_error(L, $1);
}
#define APPEND_OBJECT(POINTER, TYPE, OWNED) \
  do { SWIG_NewPointerObj(L, POINTER, TYPE, OWNED); SWIG_arg++; } while (0)
#define APPEND_INTEGER(NUMBER) \
  do { lua_pushinteger(L, (lua_Integer)(NUMBER)); SWIG_arg++; } while (0)
%{
#include <gipc.h>
static int push_error(lua_State *L, int code) {
  lua_pushnil(L);
  lua_pushstring(L, gipc_strerror(code));
  lua_pushinteger(L, code);
  return 3;
}
%}
%include "../gipc.i"
