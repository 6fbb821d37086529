/* ---- Templates ------------------------------------------------------------------ */

%{
#include <dlfcn.h>

static int template_exec(const gipc_words *argv, const gipc_options *options,
                         gipc_template **t) {
  return gipc_template_exec(argv ? (const char *const *)argv->items : NULL,
                            options, t);
}

static VALUE template_start(gipc_template *t, VALUE call,
                            const gipc_options *options) {
  gipc_process *process;
  Check_Type(call, T_STRING);
  rb_io_flush(rb_stdout);
  rb_io_flush(rb_stderr);
  int result = gipc_template_start(t, NULL, RSTRING_PTR(call),
                                   (size_t)RSTRING_LEN(call), options, &process);
  if (result < 0)
    raise_error(result);
  return new_object(process, SWIGTYPE_p_gipc_process, SWIG_POINTER_OWN);
}

static const void *served_data;
static size_t served_size;
static int served_result;

/* Where gipc/preload keeps what a fork is, or NULL. */
static pid_t (**fork_of_interpreter(void))(void) {
  return (pid_t(**)(void))dlsym(RTLD_DEFAULT, "gipc_fork_of_interpreter");
}

/* Stands for fork(2) in Process._fork.  Returns in each child. */
static pid_t serve_instead(void) {
  *fork_of_interpreter() = NULL; /* the library forks, too */
  served_result = gipc_template_serve(&served_data, &served_size);
  if (served_result == 0)
    return 0;
  errno = ECANCELED;
  return -1;
}

/* Returns in each child, with the bytes that it was started with. */
static VALUE template_serve(void) {
  struct sigaction handlers[INTERPRETERS_SIGNALS];
  int failed = 0;
  if (fork_of_interpreter() == NULL)
    raise_error(-EOPNOTSUPP);
  each_signal_of_interpreter(NULL, handlers);
  *fork_of_interpreter() = serve_instead;
  VALUE pid = rb_protect(call_fork, Qnil, &failed);
  if (served_result < 0)
    raise_error(served_result);
  each_signal_of_interpreter(handlers, NULL);
  if (failed)
    rb_jump_tag(failed);
  (void)pid;
  return rb_str_new(served_data, (long)served_size);
}
%}
OBJECT(template, Template)
%extend gipc_template { ~gipc_template() { gipc_template_free($self); } }
OUTPUT(gipc_template, t, SWIG_POINTER_OWN)
OUTPUTS_OF_START(template_exec)
int template_exec(const gipc_words *argv, const gipc_options *options,
                  gipc_template **t);
VALUE template_start(gipc_template *t, VALUE call, const gipc_options *options);
VALUE template_serve(void);
/* Ends it now, not when its object is collected. */
%apply SWIGTYPE *DISOWN { gipc_template *closed };
%inline %{
static void template_close(gipc_template *closed) { gipc_template_free(closed); }
%}
