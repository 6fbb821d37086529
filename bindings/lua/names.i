/* Numbers of the system by their names, for Lua, which knows none: errors, signals
 * and resources.  native.i includes this file. */
%{
typedef struct name_of {
  const char *name;
  int number;
} name_of;

static int push_names(lua_State *L, const name_of *list, size_t count) {
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; ++i) {
    lua_pushinteger(L, list[i].number);
    lua_setfield(L, -2, list[i].name);
  }
  return 1;
}

/* signals(): numbers by names, without SIG. */
static int signals(lua_State *L) {
#define S(NAME) {#NAME, SIG##NAME}
  static const name_of list[] = {
      S(ABRT), S(ALRM), S(BUS),  S(CHLD), S(CONT),   S(FPE),  S(HUP),
      S(ILL),  S(INT),  S(KILL), S(PIPE), S(PROF),   S(QUIT), S(SEGV),
      S(STOP), S(SYS),  S(TERM), S(TRAP), S(TSTP),   S(TTIN), S(TTOU),
      S(URG),  S(USR1), S(USR2), S(VTALRM), S(WINCH), S(XCPU), S(XFSZ),
  };
#undef S
  return push_names(L, list, sizeof list / sizeof *list);
}

/* rlimits(): numbers of resources by names. */
static int rlimits(lua_State *L) {
  static const name_of list[] = {
      {"core", RLIMIT_CORE},       {"cpu", RLIMIT_CPU},
      {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},
      {"memlock", RLIMIT_MEMLOCK}, {"nofile", RLIMIT_NOFILE},
      {"nproc", RLIMIT_NPROC},     {"stack", RLIMIT_STACK},
#ifdef RLIMIT_AS
      {"as", RLIMIT_AS},
#endif
#ifdef RLIMIT_MSGQUEUE
      {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
      {"rtprio", RLIMIT_RTPRIO},   {"sigpending", RLIMIT_SIGPENDING},
#endif
  };
  return push_names(L, list, sizeof list / sizeof *list);
}

/* errors(): the error codes of POSIX by their names. */
static int errors(lua_State *L) {
#define E(NAME) {#NAME, -NAME}
  static const name_of list[] = {
      E(E2BIG),        E(EACCES),       E(EADDRINUSE),  E(EADDRNOTAVAIL),
      E(EAFNOSUPPORT), E(EAGAIN),       E(EALREADY),    E(EBADF),
      E(EBADMSG),      E(EBUSY),        E(ECANCELED),   E(ECHILD),
      E(ECONNABORTED), E(ECONNREFUSED), E(ECONNRESET),  E(EDEADLK),
      E(EDESTADDRREQ), E(EDOM),         E(EDQUOT),      E(EEXIST),
      E(EFAULT),       E(EFBIG),        E(EHOSTUNREACH), E(EIDRM),
      E(EILSEQ),       E(EINPROGRESS),  E(EINTR),       E(EINVAL),
      E(EIO),          E(EISCONN),      E(EISDIR),      E(ELOOP),
      E(EMFILE),       E(EMLINK),       E(EMSGSIZE),    E(ENAMETOOLONG),
      E(ENETDOWN),     E(ENETRESET),    E(ENETUNREACH), E(ENFILE),
      E(ENOBUFS),      E(ENODEV),       E(ENOENT),      E(ENOEXEC),
      E(ENOLCK),       E(ENOMEM),       E(ENOMSG),      E(ENOPROTOOPT),
      E(ENOSPC),       E(ENOSYS),       E(ENOTCONN),    E(ENOTDIR),
      E(ENOTEMPTY),    E(ENOTSOCK),     E(ENOTSUP),     E(ENOTTY),
      E(ENXIO),        E(EOPNOTSUPP),   E(EOVERFLOW),   E(EPERM),
      E(EPIPE),        E(EPROTO),       E(EPROTONOSUPPORT), E(EPROTOTYPE),
      E(ERANGE),       E(EROFS),        E(ESPIPE),      E(ESRCH),
      E(ESTALE),       E(ETIMEDOUT),    E(ETXTBSY),     E(EWOULDBLOCK),
      E(EXDEV),
  };
#undef E
  return push_names(L, list, sizeof list / sizeof *list);
}
%}
%native(signals) int signals(lua_State *L);
%native(rlimits) int rlimits(lua_State *L);
%native(errors) int errors(lua_State *L);
