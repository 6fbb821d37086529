/* ---- Fork ---------------------------------------------------------------------- */

%{
/* Handlers of the interpreter that Signal.trap does not restore: for stack
 * overflow, and for waking threads. */
static const int interpreters_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGVTALRM};
#define INTERPRETERS_SIGNALS 4

static void each_signal_of_interpreter(struct sigaction *set,
                                       struct sigaction *get) {
  for (int i = 0; i < INTERPRETERS_SIGNALS; ++i)
    sigaction(interpreters_signals[i], set ? &set[i] : NULL,
              get ? &get[i] : NULL);
}

static VALUE call_fork(VALUE unused) {
  (void)unused;
  return rb_funcall(rb_mProcess, rb_intern("_fork"), 0);
}

/* The default of Linux for the largest number of descriptors (fs.nr_open). */
#define MOST_DESCRIPTORS (1 << 20)

/* Ruby has opened descriptors in the child to wake its threads, and calls abort(3)
 * when they are closed. */
static int keep_descriptors(gipc_options *options, gipc_numbers *kept) {
  long most = sysconf(_SC_OPEN_MAX);
  if (most < 0 || most > MOST_DESCRIPTORS)
    most = MOST_DESCRIPTORS;
  int result = 0;
  for (int fd = 3; fd < most && result == 0; ++fd)
    if (rb_reserved_fd_p(fd))
      result = gipc_numbers_add(kept, fd);
  return result < 0 ? result : options_keep_fds(options, kept);
}

/* In the child: nil, or the exception of a hook of Process._fork. */
static VALUE become_child(gipc_fork_context *f, gipc_options *options,
                          gipc_numbers *kept, struct sigaction *handlers,
                          int failed) {
  if ((kept && keep_descriptors(options, kept) < 0) || gipc_fork_child(f) < 0)
    _exit(GIPC_EXIT_ESCAPED); /* the start gate has reported the error */
  renew_budget();
  each_signal_of_interpreter(handlers, NULL);
  sigset_t wake;
  sigemptyset(&wake);
  sigaddset(&wake, SIGVTALRM);
  pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
  fork_is_over();
  VALUE error = failed ? rb_errinfo() : Qnil;
  rb_set_errinfo(Qnil);
  return error;
}

/* Forks as Process.fork does, with its hooks, and with those of the library.  Returns
 * the process; in the child the result of become_child.  kept: the descriptors that
 * stay open, or NULL for all.  The calling thread has no other fiber, and interrupts
 * are masked. */
static VALUE fork_process(gipc_options *options, gipc_numbers *kept) {
  rb_io_flush(rb_stdout);
  rb_io_flush(rb_stderr);
  gipc_fork_context *f;
  gipc_process *process = NULL;
  struct sigaction handlers[INTERPRETERS_SIGNALS];
  pid_t parent = getpid();
  /* Without a handler this signal would kill the child. */
  int result = gipc_options_block_signal(options, SIGVTALRM);
  if (result < 0)
    raise_error(result);
  each_signal_of_interpreter(NULL, handlers);
  rb_mutex_lock(fork_mutex);
  forking_thread = rb_thread_current();
  result = gipc_fork_prepare(options, &f);
  int failed = 0;
  if (result == 0) {
    VALUE pid = rb_protect(call_fork, Qnil, &failed);
    if (getpid() != parent)
      return become_child(f, options, kept, handlers, failed);
    errno = ECANCELED;
    result = gipc_fork_parent(f, failed ? -1 : NUM2PIDT(pid), &process);
  }
  fork_is_over();
  if (failed)
    rb_jump_tag(failed);
  if (result < 0)
    raise_error(result);
  return new_object(process, SWIGTYPE_p_gipc_process, SWIG_POINTER_OWN);
}
%}
VALUE fork_process(gipc_options *options, gipc_numbers *kept);
