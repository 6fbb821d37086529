/* Templates: the process that forks children, started and served.  native.i includes
 * this file. */
%{
static int template_exec(const gipc_words *argv, const gipc_options *options,
                         gipc_template **t) {
  return gipc_template_exec(argv ? (const char *const *)argv->items : NULL,
                            options, t);
}

static int template_start(gipc_template *t, const void *data, size_t size,
                          const gipc_options *options,
                          gipc_process **process) {
  /* The child must not write what is buffered here. */
  fflush(NULL);
  return gipc_template_start(t, NULL, data, size, options, process);
}

/* template_serve(): in each child, the bytes that it was started with. */
static int template_serve(lua_State *L) {
  const void *data;
  size_t size;
  fflush(NULL);
  int result = gipc_template_serve(&data, &size);
  if (result < 0)
    return push_failure(L, result);
  lua_pushlstring(L, size > 0 ? data : "", size);
  return 1;
}
%}
OBJECT(template, Template)
%extend gipc_template { ~gipc_template() { gipc_template_free($self); } }
OUTPUT(gipc_template, t, SWIG_POINTER_OWN)
OUTPUTS_OF(template_exec)
OUTPUTS_OF(template_start)
int template_exec(const gipc_words *argv, const gipc_options *options,
                  gipc_template **t);
int template_start(gipc_template *t, const void *data, size_t size,
                   const gipc_options *options, gipc_process **process);
/* Ends it now, not when its object is collected. */
%apply SWIGTYPE *DISOWN { gipc_template *closed };
%inline %{
static void template_close(gipc_template *closed) { gipc_template_free(closed); }
%}
%native(template_serve) int template_serve(lua_State *L);
