/* Gipc::Native: the step tier for Ruby, private to the gem. */
%module "gipc::native"
%typemap(out) int {
  if ($1 >= 0)
    $result = INT2NUM($1);
  else if ($1 == -EAGAIN)
    $result = Qnil;
  else
    raise_error($1);
}
%typemap(out) int OUTPUTS {
  if ($1 < 0 && $1 != -EAGAIN)
    raise_error($1);
  $result = Qnil;
}
#define APPEND_OBJECT(POINTER, TYPE, OWNED) \
  $result = SWIG_Ruby_AppendOutput($result, SWIG_NewPointerObj(POINTER, TYPE, OWNED))
#define APPEND_INTEGER(NUMBER) \
  $result = SWIG_Ruby_AppendOutput($result, ULL2NUM(NUMBER))
%{
#include <gipc.h>
static void raise_error(int code) { rb_raise(rb_eRuntimeError, "%s", gipc_strerror(code)); }
%}
%include "../gipc.i"
