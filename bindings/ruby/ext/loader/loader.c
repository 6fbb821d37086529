/* gipc/loader: loads gipc/native, which lies beside it, for this gem alone.
 *
 * Ruby loads an extension with RTLD_GLOBAL, so that its symbols, and those of
 * the libraries it needs, replace the same ones of each extension that is
 * loaded later.  The system's libev would replace the one that nio4r carries
 * (seen with 2.5.8), which lets go of Ruby's lock while it waits: no thread
 * could run then while a reactor of Async sleeps. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ruby.h>
#include <string.h>

static VALUE path_beside(const char *own, const char *name) {
  const char *slash = strrchr(own, '/');
  VALUE path = rb_filesystem_str_new(own, slash ? slash + 1 - own : 0);
  return rb_str_cat_cstr(path, name);
}

RUBY_FUNC_EXPORTED void Init_loader(void) {
  Dl_info own;
  if (dladdr((void *)Init_loader, &own) == 0)
    rb_raise(rb_eLoadError, "gipc: where gipc/loader lies is not known");
  VALUE path = path_beside(own.dli_fname, "native" DLEXT);
  void *native = dlopen(StringValueCStr(path), RTLD_LAZY | RTLD_LOCAL);
  void *init = native ? dlsym(native, "Init_native") : NULL;
  if (init == NULL)
    rb_raise(rb_eLoadError, "gipc: %s", dlerror());
  ((void (*)(void))init)();
  /* So that a require of it does not load it once more. */
  rb_ary_push(rb_gv_get("$LOADED_FEATURES"), rb_str_freeze(path));
}
