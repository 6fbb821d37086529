/* How many bytes of malloc are in use, for programs in any language. */
#include <malloc.h>
#include <stddef.h>

__attribute__((visibility("default"))) size_t soak_heap(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/* The same as a function of Lua.  Its API is that of the interpreter, if there
 * is one. */
extern void lua_pushinteger(void *L, long long number) __attribute__((weak));

__attribute__((visibility("default"))) int soak_heap_lua(void *L) {
  lua_pushinteger(L, (long long)soak_heap());
  return 1;
}
