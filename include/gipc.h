/* gipc.h: child processes and framed message pipes for event-driven programs.
 *
 * Conventions, true for every call below:
 *  1. An int result >= 0 is success, -errno an error of the system, and a
 *     value of -10001 and below one of the GIPC_ codes.  gipc_strerror() words
 *     all of them.
 *  2. Outputs come last and are untouched when the call fails; only
 *     gipc_put_many() always says how many messages it accepted.
 *  3. A NULL or wrong argument is -EINVAL and changes nothing.
 *  4. Times are seconds on the monotonic clock.  A timeout < 0 waits for ever,
 *     0 tries once, and covers the whole call; NaN is -EINVAL.
 *  5. An object is used by one thread at a time, different objects by any
 *     number of threads.  Only gipc_interrupt() and gipc_wait_set_wake() may
 *     come from any thread, or a signal handler, at any time.
 *  6. Nothing is printed, no signal disposition, mask, errno, or file status
 *     flag of the program is changed.
 *  7. Sizes are bytes.
 *  8. A struct's first member is its size, which the caller sets to sizeof.
 *     Later versions add members at the end only.  Every size from the first
 *     member after it on is accepted: of a struct that is filled, at most so
 *     many bytes are written, and what a newer program has beyond is zeroed;
 *     of a struct that is read, members beyond the size count as 0, and bytes
 *     that this library does not know must be 0, else -E2BIG.  A size over
 *     4096 is -E2BIG, too.
 *
 * Each function has its manual page: man 3 gipc_try_get.  Start with gipc(3).
 */
#ifndef GIPC_H
#define GIPC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef GIPC_API
#define GIPC_API __attribute__((visibility("default")))
#endif
#ifndef GIPC_MUST_CHECK
#define GIPC_MUST_CHECK __attribute__((warn_unused_result))
#endif

/* An old name of 0.1, which stays.  Define it empty to use one without a
 * warning; gipc_deprecated(3) has the new names. */
#ifndef GIPC_DEPRECATED
#define GIPC_DEPRECATED __attribute__((deprecated))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GIPC_VERSION_MAJOR 0
#define GIPC_VERSION_MINOR 2
#define GIPC_VERSION_PATCH 0
#define GIPC_VERSION                                                           \
  (GIPC_VERSION_MAJOR * 65536 + GIPC_VERSION_MINOR * 256 + GIPC_VERSION_PATCH)

/* The version of the library that runs, in the form of GIPC_VERSION. */
GIPC_API int gipc_version(void);

/* Ways of newer kernels that are live, each found out by using it. */
typedef enum gipc_feature {
  GIPC_FEATURE_PIDFD = 1,         /* descriptors of processes */
  GIPC_FEATURE_KEPT_STATUS = 2,   /* of a child that was reaped by others */
  GIPC_FEATURE_SHARED_START = 4,  /* a program's start copies no memory */
  GIPC_FEATURE_CLOSE_RANGE = 8,   /* a child closes descriptors in one call */
  GIPC_FEATURE_WIPE_ON_FORK = 16, /* a fork is noticed without a call */
  GIPC_FEATURE_PIPE_READ = 32,    /* reads from pipes never wait */
  GIPC_FEATURE_PIPE_WRITE = 64    /* nor do writes, which raise no signal */
} gipc_feature;
/* A mask of them.  The first call tries them, which starts and reaps a child
 * that nobody else in the program notices; later ones remember.  Without
 * GIPC_FEATURE_KEPT_STATUS a status can be lost to another reaper:
 * GIPC_ESTATUSLOST. */
GIPC_API GIPC_MUST_CHECK int gipc_features(void);

/* ---- Errors: gipc_error(3) --------------------------------------------- */

#define GIPC_EOF (-10001)         /* clean end of the stream */
#define GIPC_ETRUNCATED (-10002)  /* the stream ended inside a message */
#define GIPC_EPROTOCOL (-10003)   /* the peer broke the wire format */
#define GIPC_ETOOBIG (-10004)     /* message over the limit of the handle */
#define GIPC_ECLOSED (-10005)     /* the handle (or direction) is closed */
#define GIPC_ELOCKED (-10006)     /* another operation is in progress on it */
#define GIPC_EWRONGPROC (-10007)  /* it belongs to another process */
#define GIPC_EDIRECTION (-10008)  /* a put on a reader or a get on a writer */
#define GIPC_EDEAD (-10009)       /* the process has ended already */
#define GIPC_ESTATUSLOST (-10010) /* it ended; its status was taken */
#define GIPC_EBADHANDLES (-10011) /* GIPC_HANDLES is malformed or stale */

/* Words for any result of this library.  Static memory, never NULL. */
GIPC_API const char *gipc_strerror(int code);

/* ---- Handles: one end of a pipe: gipc_pipe(3) -------------------------- */

typedef struct gipc_handle gipc_handle;

/* In calls a direction is an int, like every mask and mode below, so that C++
 * programs may compute it. */
typedef enum gipc_direction { GIPC_READ = 1, GIPC_WRITE = 2 } gipc_direction;

/* A one-way pipe.  Both handles are closed on exec. */
GIPC_API GIPC_MUST_CHECK int gipc_pipe(gipc_handle **reader,
                                       gipc_handle **writer);
/* A pipe whose two ends both read and write. */
GIPC_API GIPC_MUST_CHECK int gipc_pipe_duplex(gipc_handle **a, gipc_handle **b);
/* Adopts any stream: socket, pipe, tty, stdin and stdout.  -1 leaves a
 * direction out; both may be the same descriptor.  On success the handle owns
 * the descriptors; on failure the caller still does. */
GIPC_API GIPC_MUST_CHECK int gipc_open(int read_fd, int write_fd,
                                       gipc_handle **handle);
/* Closes h.  Queued bytes are written first: at once, or in the background
 * when h is started on a loop; else -EAGAIN, and h stays open for
 * gipc_flush().  GIPC_ECLOSED when it was closed before.  h itself stays
 * allocated.  h stays open after -EAGAIN, GIPC_ELOCKED and GIPC_EWRONGPROC;
 * every other error, as -EPIPE, says what became of the queue, and h is closed
 * nevertheless. */
GIPC_API GIPC_MUST_CHECK int gipc_close(gipc_handle *h);
/* Waits until queued bytes are written, but no longer than timeout, then closes
 * h in any case.  -ETIMEDOUT: the rest of the queue has been discarded; 0
 * discards at once what cannot be written without waiting.  The queue of a
 * started handle, also of one that gipc_close() left to its loop, is taken over
 * from the loop.  h stays open after GIPC_ELOCKED and GIPC_EWRONGPROC only. */
GIPC_API GIPC_MUST_CHECK int gipc_close_within(gipc_handle *h, double timeout);
/* Ends the writing direction only: the peer reads what was put, then the end
 * of the stream.  -EAGAIN as gipc_close(). */
GIPC_API GIPC_MUST_CHECK int gipc_shutdown(gipc_handle *h);
/* Frees h; closes it first where need be (as gipc_close(), but what cannot
 * leave at once and has no loop to leave on is discarded).  NULL is allowed,
 * as are h's own callbacks. */
GIPC_API void gipc_handle_free(gipc_handle *h);

/* The descriptor to wait on (level-triggered) for a direction.  It stays
 * owned by h. */
GIPC_API GIPC_MUST_CHECK int gipc_fd(const gipc_handle *h, int direction);
/* The directions h is open for, GIPC_READ | GIPC_WRITE; GIPC_ECLOSED when
 * there is none. */
GIPC_API GIPC_MUST_CHECK int gipc_directions(const gipc_handle *h);

#define GIPC_DEFAULT_LIMIT ((size_t)1 << 30)
#define GIPC_UNLIMITED ((size_t)-1)
/* The largest message that h gets or puts. */
GIPC_API GIPC_MUST_CHECK int gipc_set_limit(gipc_handle *h, size_t limit);
#define GIPC_DEFAULT_READ_LIMIT ((size_t)64 << 20)
/* While a put waits, received bytes up to this many are kept in memory, and in
 * any case one whole message; beyond it the put waits for writability alone
 * and the peer feels back-pressure.  0 turns receiving ahead off. */
GIPC_API GIPC_MUST_CHECK int gipc_set_read_limit(gipc_handle *h, size_t bytes);
/* Puts are taken while fewer than high bytes are queued; after a refusal
 * on_drain comes at low or fewer.  Default 256 KiB and 64 KiB. */
GIPC_API GIPC_MUST_CHECK int gipc_set_marks(gipc_handle *h, size_t low,
                                            size_t high);
/* How much a started handle delivers in one turn of its loop.  Default 4096
 * messages and 256 KiB. */
GIPC_API GIPC_MUST_CHECK int gipc_set_budget(gipc_handle *h, size_t messages,
                                             size_t bytes);
/* Bytes held in h: received and not yet taken (GIPC_READ), or put and not yet
 * handed to the kernel (GIPC_WRITE). */
GIPC_API GIPC_MUST_CHECK int gipc_pending(const gipc_handle *h, int direction,
                                          size_t *bytes);

typedef struct gipc_stats {
  size_t size; /* set by the caller: sizeof(gipc_stats); convention 8 */
  uint64_t messages_in;
  uint64_t messages_out; /* taken by a put */
  uint64_t bytes_in;     /* with the headers, as on the wire */
  uint64_t bytes_out;    /* handed to the kernel */
  uint64_t reads;        /* system calls */
  uint64_t writes;
} gipc_stats;
GIPC_API GIPC_MUST_CHECK int gipc_handle_stats(const gipc_handle *h,
                                               gipc_stats *stats);

/* A pointer of the program's own, NULL at first.  The library only keeps it,
 * also when h is closed, and in the child that h is passed to by a fork. */
GIPC_API GIPC_MUST_CHECK int gipc_handle_set_user(gipc_handle *h, void *user);
GIPC_API void *gipc_handle_user(const gipc_handle *h);

/* ---- Step tier: never blocks, needs no loop: gipc_step(3) --------------- */

/* Takes the next whole message.  On success *data points into h and stays
 * valid until the next call on it.  -EAGAIN: none yet; wait until
 * gipc_fd(h, GIPC_READ) is readable.  GIPC_EOF: the writer is gone and every
 * message has been taken; this and every other end is for good. */
GIPC_API GIPC_MUST_CHECK int gipc_try_get(gipc_handle *h, const void **data,
                                          size_t *size);
/* The size of the next message, as soon as its header is there. */
GIPC_API GIPC_MUST_CHECK int gipc_next_size(gipc_handle *h, size_t *size);
/* Receives the next message into the caller's memory, which h borrows until
 * the call succeeds, fails, or gipc_get_cancel().  -EAGAIN: wait until
 * readable, call again with the same buffer.  GIPC_ETOOBIG: capacity is under
 * the size that gipc_next_size() tells; nothing is lost. */
GIPC_API GIPC_MUST_CHECK int gipc_get_into(gipc_handle *h, void *buffer,
                                           size_t capacity, size_t *size);
/* Gives the buffer of an unfinished gipc_get_into() back; the bytes it
 * received stay in h for the next get. */
GIPC_API GIPC_MUST_CHECK int gipc_get_cancel(gipc_handle *h);
/* Receives without taking, up to gipc_set_read_limit().  Call it before waiting
 * to put on a duplex handle that nothing gets from: two peers that put at once
 * would wait for each other forever.  0: something was received; -EAGAIN: there
 * is nothing to receive yet.  Wait after both until readable or writable, and
 * after anything else until writable alone: -ENOBUFS, as many bytes are held as
 * the limit allows; or the end, which the next get returns as well. */
GIPC_API GIPC_MUST_CHECK int gipc_read_ahead(gipc_handle *h);

/* Takes the message whole into the queue (0), or nothing of it: -EAGAIN, wait
 * until gipc_fd(h, GIPC_WRITE) is writable and gipc_flush_step(), or for
 * on_drain.  Started handles send their queue by themselves at the end of the
 * loop's turn; others need gipc_flush_step(). */
GIPC_API GIPC_MUST_CHECK int gipc_try_put(gipc_handle *h, const void *data,
                                          size_t size);
/* Sends a message straight from the caller's memory.  0: all of it is with
 * the kernel.  -EAGAIN: h borrows the memory; wait until writable and call
 * gipc_put_step() until it returns 0, or gipc_put_cancel(). */
GIPC_API GIPC_MUST_CHECK int gipc_put_start(gipc_handle *h, const void *data,
                                            size_t size);
GIPC_API GIPC_MUST_CHECK int gipc_put_step(gipc_handle *h);
/* Ends the borrowing.  0: withdrawn, no byte of the message has left.  1: a
 * part has left; h has copied the rest and sends it before anything else. */
GIPC_API GIPC_MUST_CHECK int gipc_put_cancel(gipc_handle *h);
/* Sends queued bytes.  0: the queue is empty.  -EAGAIN: wait until writable. */
GIPC_API GIPC_MUST_CHECK int gipc_flush_step(gipc_handle *h);

/* ---- Blocking tier: plain programs: gipc_get(3) -------------------------- */

/* As gipc_try_get(), but waits.  -ETIMEDOUT: what has arrived stays in h. */
GIPC_API GIPC_MUST_CHECK int gipc_get(gipc_handle *h, double timeout,
                                      const void **data, size_t *size);
/* Returns when the message is with the kernel.  -ETIMEDOUT: withdrawn, no byte
 * has left.  -EINPROGRESS: the wait has ended, but a part has left; the rest
 * is queued in h and leaves before anything else: do not put it again.  While
 * it waits, a handle that also reads goes on receiving, up to
 * gipc_set_read_limit(), so that two peers that put at once do not lock each
 * other. */
GIPC_API GIPC_MUST_CHECK int gipc_put(gipc_handle *h, const void *data,
                                      size_t size, double timeout);

typedef struct gipc_message {
  const void *data;
  size_t size;
} gipc_message;
/* Puts count messages in as few system calls as they fit in.  Returns 0 when
 * all are with the kernel.  *accepted is the number of messages that were
 * written or queued, also when the call fails (unless an argument is wrong):
 * the exception to convention 2.  Do not put those again. */
GIPC_API GIPC_MUST_CHECK int gipc_put_many(gipc_handle *h,
                                           const gipc_message *messages,
                                           size_t count, double timeout,
                                           size_t *accepted);
/* Returns when the queue is with the kernel. */
GIPC_API GIPC_MUST_CHECK int gipc_flush(gipc_handle *h, double timeout);

/* ---- Push tier: on the program's libev loop: gipc_start(3) --------------- */

struct ev_loop;

typedef struct gipc_events {
  size_t size; /* sizeof(gipc_events) */
  /* Each message; data is borrowed until the callback returns. */
  void (*on_message)(gipc_handle *h, const void *data, size_t size, void *user);
  /* The queue is at the low mark again, after a refused put.  May be NULL. */
  void (*on_drain)(gipc_handle *h, void *user);
  /* Once, after the last message: why is GIPC_EOF or an error.  A handle that
   * also writes may still drain.  May be NULL. */
  void (*on_end)(gipc_handle *h, int why, void *user);
} gipc_events;

/* Delivers h's messages on loop, which may be any loop of this thread.  A
 * callback may close or free h and any other handle. */
GIPC_API GIPC_MUST_CHECK int gipc_start(gipc_handle *h, struct ev_loop *loop,
                                        const gipc_events *events, void *user);
/* Back to the step tier; no callback comes any more. */
GIPC_API GIPC_MUST_CHECK int gipc_stop(gipc_handle *h);
/* Stops and resumes reading; messages wait in the kernel and in h. */
GIPC_API GIPC_MUST_CHECK int gipc_pause(gipc_handle *h);
GIPC_API GIPC_MUST_CHECK int gipc_resume(gipc_handle *h);

/* ---- Options of a start: gipc_options(3) --------------------------------- */

typedef struct gipc_options gipc_options;

GIPC_API GIPC_MUST_CHECK int gipc_options_new(gipc_options **options);
GIPC_API void gipc_options_free(gipc_options *o);
/* Strings and arrays are copied. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_name(gipc_options *o,
                                                   const char *name);
/* A daemon is killed when this process ends, however it ends. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_daemon(gipc_options *o,
                                                     int daemon);
/* The signal it gets then; default SIGKILL.  Implies daemon. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_death_signal(gipc_options *o,
                                                           int signal);
/* Moves h into the child: closed here once the start succeeds.  A name makes
 * it available to gipc_inherit() in an exec'd child, and is required there. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_pass(gipc_options *o, const char *name, gipc_handle *h);
/* No handles are passed any more: the options can be used for another start. */
GIPC_API GIPC_MUST_CHECK int gipc_options_clear_passed(gipc_options *o);
/* value NULL: removes the variable. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_set_env(gipc_options *o, const char *name, const char *value);
/* Nothing of this process's environment; set_env adds to it. */
GIPC_API GIPC_MUST_CHECK int gipc_options_clear_env(gipc_options *o);
GIPC_API GIPC_MUST_CHECK int gipc_options_set_cwd(gipc_options *o,
                                                  const char *path);

typedef enum gipc_stdio_mode {
  GIPC_STDIO_INHERIT = 0,
  GIPC_STDIO_NULL = 1,  /* /dev/null */
  GIPC_STDIO_FD = 2,    /* a copy of fd, which the caller keeps */
  GIPC_STDIO_PIPE = 3,  /* the other end: gipc_process_stdio() */
  GIPC_STDIO_STDOUT = 4 /* stderr only: wherever stdout goes */
} gipc_stdio_mode;
GIPC_API GIPC_MUST_CHECK int gipc_options_set_stdio(gipc_options *o, int which,
                                                    int mode, int fd);

/* The child has under the number child_fd what fd is here; all mappings are as
 * if done at once.  -EINVAL where set_stdio says otherwise of 0 to 2. */
GIPC_API GIPC_MUST_CHECK int gipc_options_map_fd(gipc_options *o, int fd,
                                                 int child_fd);
/* The file that gipc_exec_process() runs, instead of argv[0], which the child
 * gets as it is. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_program(gipc_options *o,
                                                      const char *path);

typedef enum gipc_group {
  GIPC_GROUP_INHERIT = 0,
  GIPC_GROUP_NEW = 1,    /* its own process group */
  GIPC_GROUP_SESSION = 2 /* its own session, without a terminal */
} gipc_group;
GIPC_API GIPC_MUST_CHECK int gipc_options_set_group(gipc_options *o, int group);
/* The child leads a new session, of which fd is the controlling terminal. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_terminal(gipc_options *o, int fd);
/* As umask(2): 0 to 0777. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_umask(gipc_options *o,
                                                    mode_t mode);
/* As nice(2): adds to this process's nice value. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_nice(gipc_options *o,
                                                   int increment);
/* setgroups(groups), setgid(gid), setuid(uid), in that order; -EPERM where the
 * child then is anybody else. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_user(gipc_options *o, uid_t uid,
                                                   gid_t gid,
                                                   const gid_t *groups,
                                                   size_t count);
/* setuid(uid) or setgid(gid) alone: the rest stays as it is.  A program without
 * privileges can name its own. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_uid(gipc_options *o, uid_t uid);
GIPC_API GIPC_MUST_CHECK int gipc_options_set_gid(gipc_options *o, gid_t gid);
/* The child and its children gain no privileges by exec (Linux). */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_no_new_privileges(gipc_options *o,
                                                                int on);
/* As setrlimit(2). */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_rlimit(gipc_options *o,
                                                     int resource,
                                                     uint64_t soft,
                                                     uint64_t hard);
/* Only these descriptors (beside 0 to 2 and passed handles) stay open in the
 * child.  The default: an exec'd child keeps none, a function child all that
 * do not belong to this library. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_keep_fds(gipc_options *o, const int *fds, size_t count);
/* An exec'd child keeps every descriptor that is not close-on-exec. */
GIPC_API GIPC_MUST_CHECK int gipc_options_keep_all_fds(gipc_options *o);
/* The child starts with signal blocked; the default is an empty mask. */
GIPC_API GIPC_MUST_CHECK int gipc_options_block_signal(gipc_options *o,
                                                       int signal);
/* A function child may watch, on its own loop, the signals that this process
 * watches on loop.  (libev lets a signal be watched on one loop only, be it one
 * that the child inherited.)  Known without being named: the default loop, and
 * loops that something of this library is on. */
GIPC_API GIPC_MUST_CHECK int gipc_options_release_signals(gipc_options *o,
                                                          struct ev_loop *loop);
/* gipc_start_process() calls this instead of fork(2). */
GIPC_API GIPC_MUST_CHECK int
gipc_options_set_fork(gipc_options *o, pid_t (*fork_function)(void *user),
                      void *user);

/* ---- Processes: gipc_process(3) ------------------------------------------ */

typedef struct gipc_process gipc_process;

/* Forks and calls target(fresh, argument) in the child, on a fresh loop.  The
 * child ends with target's result (0 to 255; others become 255), without
 * atexit handlers, after its queues are flushed.  options may be NULL. */
GIPC_API GIPC_MUST_CHECK int
gipc_start_process(int (*target)(struct ev_loop *fresh, void *argument),
                   void *argument, const gipc_options *options,
                   gipc_process **process);
/* Runs a program; never a shell.  A name without '/' is searched in the
 * child's PATH.  Errors of exec (-ENOENT ...) come from this call, and then no
 * child is left. */
GIPC_API GIPC_MUST_CHECK int gipc_exec_process(const char *const argv[],
                                               const gipc_options *options,
                                               gipc_process **process);

/* The exit code of a function child whose target let an exception, or
 * pthread_exit(3), escape. */
#define GIPC_EXIT_ESCAPED 254

GIPC_API GIPC_MUST_CHECK int gipc_process_pid(const gipc_process *p);
/* Valid until p is freed; "gipc-<pid>" when none was given. */
GIPC_API const char *gipc_process_name(const gipc_process *p);
/* A pointer of the program's own, NULL at first; the library only keeps it. */
GIPC_API GIPC_MUST_CHECK int gipc_process_set_user(gipc_process *p, void *user);
GIPC_API void *gipc_process_user(const gipc_process *p);
/* Readable (level-triggered) once the child has ended.  -EOPNOTSUPP where the
 * kernel has no pidfd: then call gipc_process_is_alive() now and then. */
GIPC_API GIPC_MUST_CHECK int gipc_process_fd(const gipc_process *p);
/* This process's end of a GIPC_STDIO_PIPE.  The caller owns it from then on;
 * a second call is GIPC_ECLOSED. */
GIPC_API GIPC_MUST_CHECK int gipc_process_stdio(gipc_process *p, int which);
/* 1 or 0. */
GIPC_API GIPC_MUST_CHECK int gipc_process_is_alive(gipc_process *p);
/* Waits for the end; 0, or -ETIMEDOUT. */
GIPC_API GIPC_MUST_CHECK int gipc_process_join(gipc_process *p, double timeout);
/* *code is the exit code, or minus the signal that ended it.  -EAGAIN while
 * it runs; GIPC_ESTATUSLOST. */
GIPC_API GIPC_MUST_CHECK int gipc_process_exitcode(gipc_process *p, int *code);

/* How the status is known. */
typedef enum gipc_status_source {
  GIPC_STATUS_FROM_WAIT = 1,     /* waitid(2) */
  GIPC_STATUS_FROM_KERNEL = 2,   /* another reaper was first; it was kept */
  GIPC_STATUS_FROM_REPORTED = 3, /* by gipc_process_report() or ev_child */
  GIPC_STATUS_FROM_CHILD = 4,    /* told by the child just before its end */
  GIPC_STATUS_LOST = 5           /* not known */
} gipc_status_source;

/* What ended a function child, as far as it could tell. */
typedef enum gipc_ended {
  GIPC_ENDED_UNKNOWN = 0,
  GIPC_ENDED_RETURN = 1,       /* target returned */
  GIPC_ENDED_EXIT = 2,         /* exit(3) or gipc_exit() */
  GIPC_ENDED_EXCEPTION = 3,    /* a C++ exception escaped target */
  GIPC_ENDED_UNWOUND = 4,      /* pthread_exit(3) or cancellation */
  GIPC_ENDED_BEFORE_START = 5, /* killed before target began */
  GIPC_ENDED_UNSENT = 6        /* returned or exited, with messages unsent */
} gipc_ended;

typedef struct gipc_exit_info {
  size_t size;   /* set by the caller: sizeof(gipc_exit_info) */
  int code;      /* exit code, or -1 */
  int signal;    /* the signal that ended it, or 0 */
  int core;      /* 1: a core was dumped */
  int how;       /* a gipc_status_source */
  int ended;     /* a gipc_ended */
  double user;   /* processor seconds, or -1 where not known */
  double system; /* processor seconds, or -1 where not known */
  long max_rss;  /* KiB, or -1 where not known */
} gipc_exit_info;
/* -EAGAIN while it runs. */
GIPC_API GIPC_MUST_CHECK int gipc_process_info(gipc_process *p,
                                               gipc_exit_info *info);

/* Signals go to the process itself, never to a stranger with its number.
 * GIPC_EDEAD when it has ended. */
GIPC_API GIPC_MUST_CHECK int gipc_process_signal(gipc_process *p, int signal);
GIPC_API GIPC_MUST_CHECK int gipc_process_terminate(gipc_process *p);
GIPC_API GIPC_MUST_CHECK int gipc_process_kill(gipc_process *p);
/* SIGTERM and SIGCONT, then after grace seconds SIGKILL; waits for the end. */
GIPC_API GIPC_MUST_CHECK int gipc_process_stop(gipc_process *p, double grace);
/* The same for a watched process, without waiting: its exit callback tells. */
GIPC_API GIPC_MUST_CHECK int gipc_process_begin_stop(gipc_process *p,
                                                     double grace);
/* The same three for all processes of p's group.  -EINVAL: it was not started
 * with a group of its own (gipc_options_set_group()).  Once p has ended, the
 * rest of the group gets no more time, and once p has been reaped no signal:
 * GIPC_EDEAD. */
GIPC_API GIPC_MUST_CHECK int gipc_process_signal_group(gipc_process *p,
                                                       int signal);
GIPC_API GIPC_MUST_CHECK int gipc_process_stop_group(gipc_process *p,
                                                     double grace);
GIPC_API GIPC_MUST_CHECK int gipc_process_begin_stop_group(gipc_process *p,
                                                           double grace);

/* Called once, from loop, when p has ended.  It may free p. */
typedef void (*gipc_exit_callback)(gipc_process *p, void *user);
GIPC_API GIPC_MUST_CHECK int gipc_process_watch(gipc_process *p,
                                                struct ev_loop *loop,
                                                gipc_exit_callback callback,
                                                void *user);
GIPC_API GIPC_MUST_CHECK int gipc_process_unwatch(gipc_process *p);
/* A child watcher of the host's own loop reaped p: here is its wait status. */
GIPC_API GIPC_MUST_CHECK int gipc_process_report(gipc_process *p,
                                                 int wait_status);
/* Frees p; a child that still runs goes on and is reaped later, by any call
 * that starts, joins or frees a process.  NULL is allowed. */
GIPC_API void gipc_process_free(gipc_process *p);

/* ---- Waiting for several, and ending a wait: gipc_wait(3) ---------------- */

typedef struct gipc_wait_set gipc_wait_set;

/* A set of handles and processes that one thread waits for, without a loop. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_new(gipc_wait_set **set);
/* Its members stay as they are.  NULL is allowed. */
GIPC_API void gipc_wait_set_free(gipc_wait_set *set);
/* Waits for h to be ready in these directions (GIPC_READ | GIPC_WRITE); a
 * second call changes them.  GIPC_ELOCKED: h is started on a loop.  A member
 * that is freed leaves the set by itself. */
GIPC_API GIPC_MUST_CHECK int
gipc_wait_set_add_handle(gipc_wait_set *set, gipc_handle *h, int directions);
/* Waits for the end of p. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_add_process(gipc_wait_set *set,
                                                       gipc_process *p);
/* -ENOENT: it is not in the set. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_remove_handle(gipc_wait_set *set,
                                                         gipc_handle *h);
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_remove_process(gipc_wait_set *set,
                                                          gipc_process *p);
/* Returns the number of members that are ready, or -ETIMEDOUT.  A reader is
 * ready when a whole message is in its memory, when there is something to
 * receive (which may be a part of a message: then gipc_try_get() is -EAGAIN,
 * and gipc_get() waits), and at its end; a writer when its descriptor takes
 * bytes, so that a put or gipc_flush_step() moves some; a handle that is
 * closed or has failed, always; a process when it has ended.  A member that is
 * ready stays so until that changes.  -ECANCELED: gipc_wait_set_wake(). */
GIPC_API GIPC_MUST_CHECK int gipc_wait(gipc_wait_set *set, double timeout);
/* The next of those that the last gipc_wait() found ready: a handle and its
 * directions, or a process; the other pointer is NULL.  -EAGAIN after the last.
 * Any member may be removed, closed or freed meanwhile. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_next(gipc_wait_set *set,
                                                gipc_handle **handle,
                                                gipc_process **process,
                                                int *directions);
/* The gipc_wait() in progress, or else the next one, returns -ECANCELED, once.
 * From any thread; async-signal-safe. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_wake(gipc_wait_set *set);

/* Lets gipc_interrupt() work on h, for two more descriptors until h is freed.
 * From then on, blocking calls on h wait with poll(2) only. */
GIPC_API GIPC_MUST_CHECK int gipc_set_interruptible(gipc_handle *h, int on);
/* The blocking call on h that is in progress, or else the next one, returns
 * -ECANCELED, once, with the effect of a timeout (of a put whose message was
 * partly written: -EINPROGRESS; of gipc_close_within(): h is closed).  From any
 * thread; async-signal-safe.  -EINVAL: h is not interruptible. */
GIPC_API GIPC_MUST_CHECK int gipc_interrupt(gipc_handle *h);

/* ---- In children: gipc_inherit(3) ---------------------------------------- */

/* In an exec'd child: the handle that the parent passed under this name.
 * -ENOENT: no such name, or nothing was passed. */
GIPC_API GIPC_MUST_CHECK int gipc_inherit(const char *name,
                                          gipc_handle **handle);
/* In a program behind a launcher (ssh, srun, docker run -i): the handle over
 * its stdin and stdout, of which nothing else is left: from then on descriptor
 * 0 is /dev/null and 1 goes where stderr goes, or to /dev/null without one.
 * -EBADF: one is closed.  GIPC_ECLOSED: one is /dev/null, as from a second
 * call.  -EINVAL: stderr is stdout, as on a terminal. */
GIPC_API GIPC_MUST_CHECK int gipc_stdio(gipc_handle **handle);
/* Ends a function child as the return of its target does.  Elsewhere as
 * _exit(2), after the queues are flushed. */
GIPC_API void gipc_exit(int code) __attribute__((noreturn));
/* The end of a function child, and gipc_exit(), wait until the peers have taken
 * what is queued.  They give up when for this many seconds not a byte could be
 * sent; < 0: never; 0: at once.  Default 60.  Function children inherit it. */
GIPC_API GIPC_MUST_CHECK int gipc_set_exit_timeout(double seconds);

/* ---- Runtimes that fork by themselves: gipc_fork(3) ---------------------- */

typedef struct gipc_fork gipc_fork_context;

/* Before the fork, in the thread that forks: blocks signals until
 * gipc_fork_parent() or gipc_fork_child() in the same thread. */
GIPC_API GIPC_MUST_CHECK int gipc_fork_prepare(const gipc_options *options,
                                               gipc_fork_context **f);
/* In the parent, with the result of the fork.  pid < 0 (the fork failed, errno
 * tells) undoes the preparation.  f is freed, whatever the result. */
GIPC_API GIPC_MUST_CHECK int gipc_fork_parent(gipc_fork_context *f, pid_t pid,
                                              gipc_process **process);
/* In the child: clean state, options applied, f freed.  End the child with
 * gipc_exit(). */
GIPC_API GIPC_MUST_CHECK int gipc_fork_child(gipc_fork_context *f);

/* ---- Names of 0.1: gipc_deprecated(3) ------------------------------------ */

GIPC_API GIPC_DEPRECATED GIPC_MUST_CHECK int gipc_get_start(gipc_handle *h,
                                                            size_t *size);
GIPC_API GIPC_DEPRECATED GIPC_MUST_CHECK int gipc_get_ahead(gipc_handle *h);
GIPC_API GIPC_DEPRECATED GIPC_MUST_CHECK int
gipc_options_leave_loop(gipc_options *o, struct ev_loop *loop);
typedef struct gipc_fork gipc_fork;
#define GIPC_HOW_WAIT GIPC_STATUS_FROM_WAIT
#define GIPC_HOW_KERNEL GIPC_STATUS_FROM_KERNEL
#define GIPC_HOW_REPORTED GIPC_STATUS_FROM_REPORTED
#define GIPC_HOW_CHILD GIPC_STATUS_FROM_CHILD
#define GIPC_HOW_LOST GIPC_STATUS_LOST
#define GIPC_ENDED_UNBORN GIPC_ENDED_BEFORE_START

#ifdef __cplusplus
}
#endif
#endif
