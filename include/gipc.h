/* gipc.h: child processes and framed message pipes for event-driven programs.
 *
 * Conventions, true for every call below:
 *  1. An int result >= 0 is success, -errno an error of the system, and a
 *     value of -10001 and below one of the GIPC_ codes.  gipc_strerror()
 *     describes all of them.
 *  2. Outputs come last and are untouched when the call fails; only
 *     gipc_put_many() always stores how many messages it accepted.
 *  3. A NULL or wrong argument is -EINVAL and changes nothing.
 *  4. Times are seconds on the monotonic clock.  A timeout covers the whole
 *     call.  A negative one waits indefinitely, 0 does not wait, and NaN is
 *     -EINVAL.
 *  5. An object is used by one thread at a time, different objects by any
 *     number of threads.  Only gipc_interrupt() and gipc_wait_set_wake() may
 *     be called in any thread, or in a signal handler, at any time, and
 *     gipc_template_start() by several threads for one template.
 *  6. Nothing is printed, no signal disposition, mask, errno, or file status
 *     flag of the program is changed.
 *  7. Sizes are bytes.
 *  8. A struct's first member is its size, which the caller sets to sizeof.
 *     Later versions add members at the end only.  Every size from the first
 *     member after it on is accepted: of a struct that is filled, at most so
 *     many bytes are written, and what a newer program has beyond is zeroed;
 *     of a struct that is read, members beyond the size count as 0, and bytes
 *     that this library does not know must be 0, else -E2BIG.  A size above
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

/* Marks a name of version 0.1, which stays.  Define the macro empty to use such
 * names without a warning; gipc_deprecated(3) has the new names. */
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

/* Features of newer kernels that work here, each found out by using it. */
typedef enum gipc_feature {
  GIPC_FEATURE_PIDFD = 1,         /* a process has a descriptor */
  GIPC_FEATURE_KEPT_STATUS = 2,   /* status kept after another reap */
  GIPC_FEATURE_SHARED_START = 4,  /* a program's start copies no memory */
  GIPC_FEATURE_CLOSE_RANGE = 8,   /* a child closes descriptors in one call */
  GIPC_FEATURE_WIPE_ON_FORK = 16, /* a fork is noticed without a call */
  GIPC_FEATURE_PIPE_READ = 32,    /* reads from pipes never wait */
  GIPC_FEATURE_PIPE_WRITE = 64    /* nor do writes, or raise SIGPIPE */
} gipc_feature;
/* Returns a mask of gipc_feature, or an error such as -EMFILE.  The first call
 * starts and reaps a child, which raises no SIGCHLD; later calls return the
 * same mask.  Without GIPC_FEATURE_KEPT_STATUS a status can be lost to another
 * reaper: GIPC_ESTATUSLOST. */
GIPC_API GIPC_MUST_CHECK int gipc_features(void);

/* ---- Errors: gipc_error(3) --------------------------------------------- */

#define GIPC_EOF (-10001)         /* clean end of the stream */
#define GIPC_ETRUNCATED (-10002)  /* the stream ended inside a message */
#define GIPC_EPROTOCOL (-10003)   /* the peer broke the wire format */
#define GIPC_ETOOBIG (-10004)     /* message exceeds the limit */
#define GIPC_ECLOSED (-10005)     /* the handle (or direction) is closed */
#define GIPC_ELOCKED (-10006)     /* an operation on it is in progress */
#define GIPC_EWRONGPROC (-10007)  /* it belongs to another process */
#define GIPC_EDIRECTION (-10008)  /* a put on a reader or a get on a writer */
#define GIPC_EDEAD (-10009)       /* the process has ended already */
#define GIPC_ESTATUSLOST (-10010) /* it ended; its status is lost */
#define GIPC_EBADHANDLES (-10011) /* GIPC_HANDLES is malformed or stale */

/* Describes any result of this library.  Static memory, never NULL; may be
 * called in any thread. */
GIPC_API const char *gipc_strerror(int code);

/* ---- Handles: one end of a pipe: gipc_pipe(3) -------------------------- */

typedef struct gipc_handle gipc_handle;

/* In calls a direction is an int, like every mask and mode below, so that C++
 * programs may compute it. */
typedef enum gipc_direction { GIPC_READ = 1, GIPC_WRITE = 2 } gipc_direction;

/* Makes a one-way pipe: reader gets the messages put into writer.  Both are
 * closed on exec.  Release each with gipc_handle_free().  -EMFILE, -ENFILE,
 * -ENOBUFS, -ENOMEM: nothing was made. */
GIPC_API GIPC_MUST_CHECK int gipc_pipe(gipc_handle **reader,
                                       gipc_handle **writer);
/* Makes a pipe whose two ends both read and write.  As gipc_pipe(). */
GIPC_API GIPC_MUST_CHECK int gipc_pipe_duplex(gipc_handle **a, gipc_handle **b);
/* Makes a handle of any stream: socket, pipe, terminal, stdin and stdout.  -1
 * leaves a direction out; both may be the same descriptor.  On success the
 * handle owns the descriptors; on failure the caller still does.  -EBADF: one
 * is not open.  -EINVAL: both are -1, one is not a stream, or not open for its
 * direction. */
GIPC_API GIPC_MUST_CHECK int gipc_open(int read_fd, int write_fd,
                                       gipc_handle **handle);
/* Closes h, and does not free it.  Queued bytes are written first: at once, or
 * in the background if h is started on a loop; else the result is -EAGAIN, and
 * h stays open for gipc_flush().  h also stays open after GIPC_ELOCKED and
 * GIPC_EWRONGPROC.  After any other error, such as -EPIPE, h is closed, and the
 * queue was dropped.  GIPC_ECLOSED: it was closed before. */
GIPC_API GIPC_MUST_CHECK int gipc_close(gipc_handle *h);
/* Waits until queued bytes are written, but no longer than timeout seconds,
 * then closes h in any case.  -ETIMEDOUT: the remaining bytes were discarded.
 * With 0 it discards what cannot be written without waiting.  A queue that a
 * loop was writing, also after gipc_close(), is written here instead.  h stays
 * open after GIPC_ELOCKED and GIPC_EWRONGPROC only. */
GIPC_API GIPC_MUST_CHECK int gipc_close_within(gipc_handle *h, double timeout);
/* Closes the writing direction only: the peer reads what was put, then the end
 * of the stream.  Errors as for gipc_close(). */
GIPC_API GIPC_MUST_CHECK int gipc_shutdown(gipc_handle *h);
/* Frees h.  If h is open, it is closed first as by gipc_close(), but bytes that
 * cannot be written at once, and have no loop that writes them, are discarded.
 * h may be NULL.  May be called in callbacks of h. */
GIPC_API void gipc_handle_free(gipc_handle *h);

/* Returns the descriptor to wait on (level-triggered) for a direction.  h owns
 * it: do not close it.  Wait only after a call has returned -EAGAIN, or
 * gipc_pending() has stored 0: messages that h can return already do not make
 * the descriptor readable.  GIPC_ECLOSED, GIPC_EDIRECTION. */
GIPC_API GIPC_MUST_CHECK int gipc_fd(const gipc_handle *h, int direction);
/* Returns the directions that h is open for, a mask of GIPC_READ and
 * GIPC_WRITE.  GIPC_ECLOSED: none. */
GIPC_API GIPC_MUST_CHECK int gipc_directions(const gipc_handle *h);

#define GIPC_DEFAULT_LIMIT ((size_t)1 << 30)
#define GIPC_UNLIMITED ((size_t)-1)
/* Sets the largest message in bytes that h gets or puts; default 1 GiB.  A get
 * of a larger one is GIPC_ETOOBIG, permanently: set the limit before. */
GIPC_API GIPC_MUST_CHECK int gipc_set_limit(gipc_handle *h, size_t limit);
#define GIPC_DEFAULT_READ_LIMIT ((size_t)64 << 20)
/* Sets how many bytes h receives ahead while a put waits, and in any case one
 * whole message; default 64 MiB.  Beyond it the put waits for writability
 * alone, and the peer's puts block.  0 disables receiving ahead. */
GIPC_API GIPC_MUST_CHECK int gipc_set_read_limit(gipc_handle *h, size_t bytes);
/* Sets the water marks of the write queue in bytes.  low (default 64 KiB):
 * after a refused put, on_drain is called at this length or less.  high
 * (default 256 KiB): puts are accepted below this length.  -EINVAL: low >=
 * high. */
GIPC_API GIPC_MUST_CHECK int gipc_set_marks(gipc_handle *h, size_t low,
                                            size_t high);
/* Sets what a started handle delivers at most in one loop iteration (the
 * fairness budget); default 4096 messages and 256 KiB.  -EINVAL: one is 0. */
GIPC_API GIPC_MUST_CHECK int gipc_set_budget(gipc_handle *h, size_t messages,
                                             size_t bytes);
/* How the bytes get to the peer.  Two handles on one machine that exchange many
 * messages change by themselves from the socket to a ring in shared memory,
 * where a put needs no system call; other peers never notice.  gipc_pipe(3)
 * describes it.  Linux only; elsewhere every handle is plain. */
enum {
  GIPC_TRANSPORT_AUTO = 0,  /* the default */
  GIPC_TRANSPORT_PLAIN = 1, /* never a ring; one in use is left */
  GIPC_TRANSPORT_RING = 2,  /* offered with the first message, and again */
  /* Instead of GIPC_TRANSPORT_PLAIN in gipc_handle_entry only: */
  GIPC_TRANSPORT_SOCKET = 3,  /* a local socket */
  GIPC_TRANSPORT_NETWORK = 4, /* another socket */
  GIPC_TRANSPORT_PIPE = 5     /* a pipe, a terminal or a file */
};
/* Chooses the transport of h.  GIPC_TRANSPORT_PLAIN needs to be chosen before
 * the descriptor of a handle that was in use is used by anything but h; a child
 * that gets it as a standard stream or a mapped descriptor does that itself.
 * -EBUSY: messages are to be got first.  -EOPNOTSUPP: GIPC_TRANSPORT_RING
 * cannot be had with this descriptor, or on this system. */
GIPC_API GIPC_MUST_CHECK int gipc_set_transport(gipc_handle *h, int transport);
/* Stores the number of bytes in h, with headers: received and not yet returned
 * (GIPC_READ), or queued and not yet written (GIPC_WRITE).  After 0 for
 * GIPC_READ, gipc_fd(h, GIPC_READ) becomes readable with the next bytes. */
GIPC_API GIPC_MUST_CHECK int gipc_pending(const gipc_handle *h, int direction,
                                          size_t *bytes);

typedef struct gipc_stats {
  size_t size; /* set by the caller: sizeof(gipc_stats); convention 8 */
  uint64_t messages_in;
  uint64_t messages_out; /* put, also those still queued */
  uint64_t bytes_in;     /* with the headers, as on the wire */
  uint64_t bytes_out;    /* written */
  uint64_t reads;        /* system calls */
  uint64_t writes;
  uint64_t transport_in; /* GIPC_TRANSPORT_RING while it is in use, or _PLAIN */
  uint64_t transport_out;
  uint64_t bells_in;   /* times that a get found the ring empty */
  uint64_t bells_out;  /* times that a put woke the peer */
  uint64_t stalls_out; /* times that a put found the ring full */
} gipc_stats;
/* Stores the counters of h, which start at 0; also of a closed one. */
GIPC_API GIPC_MUST_CHECK int gipc_handle_stats(const gipc_handle *h,
                                               gipc_stats *stats);

/* Keeps a pointer of the program with h, NULL at first.  The library does
 * nothing else with it.  It stays when h is closed, and in a function child
 * that h is passed to. */
GIPC_API GIPC_MUST_CHECK int gipc_handle_set_user(gipc_handle *h, void *user);
GIPC_API void *gipc_handle_user(const gipc_handle *h);

/* ---- Step tier: never blocks, needs no loop: gipc_step(3) --------------- */

/* Gets the next whole message.  On success *data points into h and stays valid
 * until the next call on h; do not free it.  -EAGAIN: none yet; wait until
 * gipc_fd(h, GIPC_READ) is readable.  GIPC_EOF: the writer is gone and every
 * message has been returned.  GIPC_EOF, GIPC_ETRUNCATED, GIPC_EPROTOCOL,
 * GIPC_ETOOBIG and connection errors are permanent. */
GIPC_API GIPC_MUST_CHECK int gipc_try_get(gipc_handle *h, const void **data,
                                          size_t *size);
/* Stores the size of the next message as soon as its header is received, and
 * removes nothing.  Errors as for gipc_try_get(). */
GIPC_API GIPC_MUST_CHECK int gipc_next_size(gipc_handle *h, size_t *size);
/* Receives the next message into the caller's buffer of capacity bytes, which h
 * borrows until the call succeeds, fails, or gipc_get_cancel().  -EAGAIN: wait
 * until readable, call again with the same buffer.  GIPC_ETOOBIG: capacity is
 * below the size of gipc_next_size(); nothing is lost. */
GIPC_API GIPC_MUST_CHECK int gipc_get_into(gipc_handle *h, void *buffer,
                                           size_t capacity, size_t *size);
/* Returns the buffer of an unfinished gipc_get_into() to the caller; the bytes
 * that it received stay in h for the next get. */
GIPC_API GIPC_MUST_CHECK int gipc_get_cancel(gipc_handle *h);
/* Receives without returning a message, up to gipc_set_read_limit().  Call it
 * before each wait for writability on a duplex handle that nothing reads: if
 * neither peer reads, both socket buffers fill and both block.  0: bytes were
 * received; -EAGAIN: there are none yet.  After both, wait until readable or
 * writable; after any other result, until writable alone.  -ENOBUFS: h holds as
 * many bytes as the limit allows.  An end is returned by the next get as well.
 */
GIPC_API GIPC_MUST_CHECK int gipc_read_ahead(gipc_handle *h);

/* Appends a copy of the message to the write queue.  -EAGAIN: nothing was
 * queued, because the queue holds `high` bytes or more; wait until
 * gipc_fd(h, GIPC_WRITE) is writable and call gipc_flush_step(), or wait for
 * on_drain.  A started handle writes its queue at the end of the loop
 * iteration; for others call gipc_flush_step(). */
GIPC_API GIPC_MUST_CHECK int gipc_try_put(gipc_handle *h, const void *data,
                                          size_t size);
/* Writes a message straight from the caller's memory, after queued bytes.  0:
 * all of it is written.  -EAGAIN: h borrows the memory; wait until writable and
 * call gipc_put_step() until it returns 0, or gipc_put_cancel().  The memory
 * must not be a message that a get of h returned. */
GIPC_API GIPC_MUST_CHECK int gipc_put_start(gipc_handle *h, const void *data,
                                            size_t size);
GIPC_API GIPC_MUST_CHECK int gipc_put_step(gipc_handle *h);
/* Returns the memory to the caller.  0: the put is cancelled, no byte of the
 * message was written.  1: a part was written; h keeps a copy of the remaining
 * bytes and writes them before anything else.  -EPIPE: the reader is gone, and
 * nothing more is written.  -EINVAL: no put in progress. */
GIPC_API GIPC_MUST_CHECK int gipc_put_cancel(gipc_handle *h);
/* Writes queued bytes.  0: the queue is empty.  -EAGAIN: wait until writable.
 * -EPIPE: the reader is gone, and the queue was dropped. */
GIPC_API GIPC_MUST_CHECK int gipc_flush_step(gipc_handle *h);

/* ---- Blocking tier: plain programs: gipc_get(3) -------------------------- */

/* The calls of this tier are cancellation points while they wait. */

/* As gipc_try_get(), but waits.  -ETIMEDOUT: received bytes stay in h. */
GIPC_API GIPC_MUST_CHECK int gipc_get(gipc_handle *h, double timeout,
                                      const void **data, size_t *size);
/* Puts a message.  0: all its bytes are written, that is, accepted by the
 * kernel; the peer can read them even if this process exits.  -ETIMEDOUT: the
 * message is not put, no byte was written.  -EINPROGRESS: the wait ended
 * after a part was written.  The remaining bytes are queued and written before
 * anything else: do not put the message again.  While it waits, a duplex handle
 * receives ahead, up to gipc_set_read_limit(), so that two peers that put at
 * the same time do not block each other.  The message may be one that a get of
 * h returned.  -EPIPE: the reader is gone.  GIPC_ETOOBIG: it exceeds the limit,
 * and is not put. */
GIPC_API GIPC_MUST_CHECK int gipc_put(gipc_handle *h, const void *data,
                                      size_t size, double timeout);

typedef struct gipc_message {
  const void *data;
  size_t size;
} gipc_message;
/* Puts count messages with as few system calls as possible.  0: all are
 * written. *accepted is the number of messages, from the first on, that were
 * written or queued, also when the call fails (unless an argument is wrong):
 * the exception to convention 2.  Do not put those again.  The messages must
 * not be ones that a get of h returned. */
GIPC_API GIPC_MUST_CHECK int gipc_put_many(gipc_handle *h,
                                           const gipc_message *messages,
                                           size_t count, double timeout,
                                           size_t *accepted);
/* Waits until the queue is written.  -ETIMEDOUT: bytes are still queued. */
GIPC_API GIPC_MUST_CHECK int gipc_flush(gipc_handle *h, double timeout);

/* ---- Messages with descriptors: gipc_put_with(3) ------------------------- */

/* The most descriptors of a message. */
#define GIPC_MOST_FDS 253
/* As gipc_put(), with copies of count descriptors, which stay the caller's; he
 * may close them when the call has returned.  The peer takes them with
 * gipc_take_fds().  Such a message goes through the socket; a ring is left.
 * -EOPNOTSUPP: the stream is not an AF_UNIX socket, or the peer does not say
 * that it is a handle; gipc_put_with(3) describes when it does.  -EBADF: one is
 * not open.  -ETOOMANYREFS: too many descriptors of this user were sent and not
 * received.  After these nothing is put, and h can be used as before. */
GIPC_API GIPC_MUST_CHECK int gipc_put_with(gipc_handle *h, const void *data,
                                           size_t size, const int *fds,
                                           size_t count, double timeout);
/* As gipc_try_put(), with copies of count descriptors; errors also as for
 * gipc_put_with().  A message that is queued keeps duplicates until they are
 * sent: -EMFILE.  Step tier: never blocks. */
GIPC_API GIPC_MUST_CHECK int gipc_try_put_with(gipc_handle *h, const void *data,
                                               size_t size, const int *fds,
                                               size_t count);
/* The most handles of a message. */
#define GIPC_MOST_HANDLES 7
/* As gipc_put_with(), and moves handles to the peer, which takes them with
 * gipc_take_handle(): each is closed here, as if it were passed to a child.  If
 * the put fails, the handles are as before; but after -EINPROGRESS, and if the
 * stream ends while the call waits, they are closed.
 * -EBUSY: one holds received or queued bytes.  -EINVAL: one is an end of this
 * pipe, or is twice there.  GIPC_ELOCKED: one is in use. */
GIPC_API GIPC_MUST_CHECK int
gipc_put_handles(gipc_handle *h, const void *data, size_t size,
                 gipc_handle *const *handles, size_t handle_count,
                 const int *fds, size_t fd_count, double timeout);
/* The same as gipc_try_put_with().  Step tier: never blocks. */
GIPC_API GIPC_MUST_CHECK int
gipc_try_put_handles(gipc_handle *h, const void *data, size_t size,
                     gipc_handle *const *handles, size_t handle_count,
                     const int *fds, size_t fd_count);
/* Takes the next handle of the message that was returned last: a reader, a
 * writer or a duplex handle, as it was put.  Free it with gipc_handle_free().
 * Those that are not taken are closed as descriptors are.  -ENOENT: there are
 * no more.  -EMFILE: as for gipc_take_fds().  Another error: the peer has sent
 * something else, or there is no memory, and this handle is lost. */
GIPC_API GIPC_MUST_CHECK int gipc_take_handle(gipc_handle *h,
                                              gipc_handle **handle);
/* Duplicates of descriptors for messages that are put later, or several times:
 * close-on-exec, and no function child keeps them.  -EBADF, -EMFILE. */
typedef struct gipc_fds gipc_fds;
GIPC_API GIPC_MUST_CHECK int gipc_fds_new(const int *fds, size_t count,
                                          gipc_fds **kept);
/* As gipc_try_put_with() with these, which stay the caller's. */
GIPC_API GIPC_MUST_CHECK int gipc_try_put_fds(gipc_handle *h, const void *data,
                                              size_t size,
                                              const gipc_fds *kept);
/* Closes them.  kept may be NULL. */
GIPC_API void gipc_fds_free(gipc_fds *kept);
/* Takes the descriptors of the message that was returned last, by a get or in
 * on_message: stores them, close-on-exec, and returns their number; the caller
 * closes them.  0: it has none, or they were taken.  Those that are not taken
 * are closed with the next get, with h, or when h is passed on.  -EMSGSIZE:
 * room is less than their number, and nothing changes; GIPC_MOST_FDS is always
 * enough.  -EMFILE: this process had no room for them, and they are lost; the
 * message is whole. */
GIPC_API GIPC_MUST_CHECK int gipc_take_fds(gipc_handle *h, int *fds,
                                           size_t room);

/* ---- Push tier: on the program's libev loop: gipc_start(3) --------------- */

struct ev_loop;

typedef struct gipc_events {
  size_t size; /* set by the caller: sizeof(gipc_events); convention 8 */
  /* Each message; data is valid until the callback returns. */
  void (*on_message)(gipc_handle *h, const void *data, size_t size, void *user);
  /* After a refused put: the queue is at the low mark.  May be NULL. */
  void (*on_drain)(gipc_handle *h, void *user);
  /* Once, after the last message: why is GIPC_EOF or the error that ended the
   * stream.  h stays open and must be freed; on_drain may still be called.  The
   * end of the process behind h comes before or after.  May be NULL. */
  void (*on_end)(gipc_handle *h, int why, void *user);
} gipc_events;

/* Delivers the messages of h on loop, which may be any loop of this thread, and
 * writes its queue there.  *events is copied.  Callbacks are called from the
 * loop only, and may close or free h and any other handle.  GIPC_ELOCKED: h is
 * started already, or in use. */
GIPC_API GIPC_MUST_CHECK int gipc_start(gipc_handle *h, struct ev_loop *loop,
                                        const gipc_events *events, void *user);
/* Removes h from its loop; no callback is called any more.  Received messages
 * and the queue stay in h, for the step tier.  -EINVAL: h is not started. */
GIPC_API GIPC_MUST_CHECK int gipc_stop(gipc_handle *h);
/* Stops and resumes reading; messages stay in the kernel and in h. */
GIPC_API GIPC_MUST_CHECK int gipc_pause(gipc_handle *h);
GIPC_API GIPC_MUST_CHECK int gipc_resume(gipc_handle *h);

/* ---- Options of a start: gipc_options(3) --------------------------------- */

typedef struct gipc_options gipc_options;

/* Makes options with the defaults, for any number of starts.  The setters copy
 * strings and arrays.  A setter fails with -EINVAL or -ENOMEM and changes
 * nothing then; what can change before the start is an error of the start. */
GIPC_API GIPC_MUST_CHECK int gipc_options_new(gipc_options **options);
/* At any time after the start.  o may be NULL. */
GIPC_API void gipc_options_free(gipc_options *o);
/* The name that gipc_process_name() returns; default "gipc-<pid>". */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_name(gipc_options *o,
                                                   const char *name);
/* daemon != 0: the child is killed when this process ends, also by SIGKILL.
 * Without F_SETSIG (macOS, BSDs) a program cannot be a daemon. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_daemon(gipc_options *o,
                                                     int daemon);
/* The signal that a daemon gets; default SIGKILL.  Implies daemon. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_death_signal(gipc_options *o,
                                                           int signal);
/* Moves h into the child: the start closes h here when it succeeds, and changes
 * nothing when it fails.  Free h here in both cases.  A program gets the handle
 * by name with gipc_inherit(), and needs the name; a function child uses h. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_pass(gipc_options *o, const char *name, gipc_handle *h);
/* Removes all passed handles, so that o can be used for another start. */
GIPC_API GIPC_MUST_CHECK int gipc_options_clear_passed(gipc_options *o);
/* Sets a variable of the child's environment; value NULL removes it. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_set_env(gipc_options *o, const char *name, const char *value);
/* The child gets no variable of this process, only those of
 * gipc_options_set_env(). */
GIPC_API GIPC_MUST_CHECK int gipc_options_clear_env(gipc_options *o);
/* The child's working directory. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_cwd(gipc_options *o,
                                                  const char *path);

typedef enum gipc_stdio_mode {
  GIPC_STDIO_INHERIT = 0,
  GIPC_STDIO_NULL = 1,  /* /dev/null */
  GIPC_STDIO_FD = 2,    /* a copy of fd, which the caller keeps */
  GIPC_STDIO_PIPE = 3,  /* the other end: gipc_process_stdio() */
  GIPC_STDIO_STDOUT = 4 /* stderr only: wherever stdout goes */
} gipc_stdio_mode;
/* What the child has as descriptor which, 0 to 2.  fd is used with
 * GIPC_STDIO_FD only. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_stdio(gipc_options *o, int which,
                                                    int mode, int fd);

/* The child has a copy of fd under the number child_fd; all mappings happen at
 * once.  -EINVAL: gipc_options_set_stdio() contradicts, for 0 to 2. */
GIPC_API GIPC_MUST_CHECK int gipc_options_map_fd(gipc_options *o, int fd,
                                                 int child_fd);
/* The file that gipc_exec_process() runs instead of argv[0]. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_program(gipc_options *o,
                                                      const char *path);

typedef enum gipc_group {
  GIPC_GROUP_INHERIT = 0,
  GIPC_GROUP_NEW = 1,     /* its own process group */
  GIPC_GROUP_SESSION = 2, /* its own session, without a terminal */
  GIPC_GROUP_TREE = 3     /* the same, and the child ends with its tree */
} gipc_group;
/* The child's process group; group is a gipc_group.  With GIPC_GROUP_TREE the
 * end of the child, whatever ends it, ends all that it has started, too, as far
 * as the system can tell: gipc_tree.  A process of this library is the child's
 * parent, and ends with the last of them.  -EBUSY of the start: a function
 * child has several threads already. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_group(gipc_options *o, int group);
/* The child leads a new session, whose controlling terminal is fd. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_terminal(gipc_options *o, int fd);
/* As umask(2): 0 to 0777. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_umask(gipc_options *o,
                                                    mode_t mode);
/* As nice(2): adds to this process's nice value. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_nice(gipc_options *o,
                                                   int increment);
/* The child calls setgroups(groups), setgid(gid) and setuid(uid), in that
 * order, and reads them back.  A difference is -EPERM of the start. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_user(gipc_options *o, uid_t uid,
                                                   gid_t gid,
                                                   const gid_t *groups,
                                                   size_t count);
/* setuid(uid) or setgid(gid) alone.  A program without privileges can name its
 * own ID. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_uid(gipc_options *o, uid_t uid);
GIPC_API GIPC_MUST_CHECK int gipc_options_set_gid(gipc_options *o, gid_t gid);
/* on != 0: the child and its children gain no privileges by exec.  Not on
 * Linux: -EOPNOTSUPP of the start. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_no_new_privileges(gipc_options *o,
                                                                int on);
/* As setrlimit(2); UINT64_MAX stands for no limit. */
GIPC_API GIPC_MUST_CHECK int gipc_options_set_rlimit(gipc_options *o,
                                                     int resource,
                                                     uint64_t soft,
                                                     uint64_t hard);
/* Only these descriptors, 0 to 2 and passed handles stay open in the child.  By
 * default a program keeps none, a function child all that do not belong to this
 * library. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_keep_fds(gipc_options *o, const int *fds, size_t count);
/* A program keeps every descriptor that is not closed on exec.  Of this and
 * gipc_options_keep_fds(), the last call takes effect. */
GIPC_API GIPC_MUST_CHECK int gipc_options_keep_all_fds(gipc_options *o);
/* The child starts with signal blocked; by default its mask is empty. */
GIPC_API GIPC_MUST_CHECK int gipc_options_block_signal(gipc_options *o,
                                                       int signal);
/* A function child may watch, on its own loop, the signals that this process
 * watches on loop.  (libev allows each signal on one loop only, and counts
 * inherited loops.)  The default loop need not be named, and neither need up to
 * 64 loops with started handles or watched processes. */
GIPC_API GIPC_MUST_CHECK int gipc_options_release_signals(gipc_options *o,
                                                          struct ev_loop *loop);
/* What the last start with o failed for, such as "program", "cwd" or "user";
 * NULL: nothing of the kind.  Not to be freed; gipc_options(3) lists them. */
GIPC_API const char *gipc_options_failed(const gipc_options *o);
/* gipc_start_process() calls fork_function(user) instead of fork(2).  It
 * returns what fork(2) returns, with errno set on failure. */
GIPC_API GIPC_MUST_CHECK int
gipc_options_set_fork(gipc_options *o, pid_t (*fork_function)(void *user),
                      void *user);

/* ---- Processes: gipc_process(3) ------------------------------------------ */

typedef struct gipc_process gipc_process;

/* Forks and calls target(fresh, argument) in the child, with a loop of its own.
 * The child ends with the result of target (0 to 255; others become 255),
 * without atexit handlers, after its queues are written.  options may be NULL.
 * Release *process with gipc_process_free().  After an error no child is left
 * and no handle has moved.  Errors: those of fork(2) and of each option. */
GIPC_API GIPC_MUST_CHECK int
gipc_start_process(int (*target)(struct ev_loop *fresh, void *argument),
                   void *argument, const gipc_options *options,
                   gipc_process **process);
/* Runs a program, without a shell.  A name without '/' is searched in the
 * child's PATH.  The call returns errors of execve(2), such as -ENOENT, and
 * then no child is left.  -EBUSY: a passed handle holds unread or queued bytes.
 */
GIPC_API GIPC_MUST_CHECK int gipc_exec_process(const char *const argv[],
                                               const gipc_options *options,
                                               gipc_process **process);
/* Runs a program behind a launcher, such as ssh, srun or podman run -i, or
 * without one, whose messages are its standard input and output: it calls
 * gipc_stdio().  Stores a duplex handle of these pipes, to be freed with
 * gipc_handle_free().  options may be NULL.  -EINVAL: they redirect 0 or 1.
 * Other errors: as gipc_exec_process(), and after an error no child is left.
 * See gipc_launch(7). */
GIPC_API GIPC_MUST_CHECK int gipc_launch(const char *const argv[],
                                         const gipc_options *options,
                                         gipc_process **process,
                                         gipc_handle **handle);

/* The exit code of a function child whose target let an exception, or
 * pthread_exit(3), escape. */
#define GIPC_EXIT_ESCAPED 254

/* Returns the process ID, also after the end of the child. */
GIPC_API GIPC_MUST_CHECK int gipc_process_pid(const gipc_process *p);
/* The name of the options, or "gipc-<pid>"; valid until p is freed. */
GIPC_API const char *gipc_process_name(const gipc_process *p);
/* Keeps a pointer of the program with p, NULL at first. */
GIPC_API GIPC_MUST_CHECK int gipc_process_set_user(gipc_process *p, void *user);
GIPC_API void *gipc_process_user(const gipc_process *p);
/* Returns a descriptor that is readable (level-triggered) once the child has
 * ended; p owns it.  -EOPNOTSUPP: the kernel has none; call
 * gipc_process_is_alive() periodically. */
GIPC_API GIPC_MUST_CHECK int gipc_process_fd(const gipc_process *p);
/* Returns this process's end of a GIPC_STDIO_PIPE, which the caller owns from
 * then on.  GIPC_ECLOSED: a second call, or no such pipe. */
GIPC_API GIPC_MUST_CHECK int gipc_process_stdio(gipc_process *p, int which);
/* Returns 1 while the child runs, 0 when it has ended. */
GIPC_API GIPC_MUST_CHECK int gipc_process_is_alive(gipc_process *p);
/* Waits for the end of the child.  0, also if its status is lost; -ETIMEDOUT:
 * it runs.  A cancellation point while it waits. */
GIPC_API GIPC_MUST_CHECK int gipc_process_join(gipc_process *p, double timeout);
/* Stores the exit code, or minus the signal that terminated the child. -EAGAIN:
 * it runs.  GIPC_ESTATUSLOST: the status is not known. */
GIPC_API GIPC_MUST_CHECK int gipc_process_exitcode(gipc_process *p, int *code);

/* The source of an exit status. */
typedef enum gipc_status_source {
  GIPC_STATUS_FROM_WAIT = 1,     /* waitid(2) */
  GIPC_STATUS_FROM_KERNEL = 2,   /* kept after another reap */
  GIPC_STATUS_FROM_REPORTED = 3, /* gipc_process_report(), ev_child */
  GIPC_STATUS_FROM_CHILD = 4,    /* sent by the child before its exit */
  GIPC_STATUS_LOST = 5           /* not known */
} gipc_status_source;

/* What ended a function child, as far as it could report. */
typedef enum gipc_ended {
  GIPC_ENDED_UNKNOWN = 0,
  GIPC_ENDED_RETURN = 1,       /* target returned */
  GIPC_ENDED_EXIT = 2,         /* exit(3) or gipc_exit() */
  GIPC_ENDED_EXCEPTION = 3,    /* an exception escaped target */
  GIPC_ENDED_UNWOUND = 4,      /* pthread_exit(3) or cancellation */
  GIPC_ENDED_BEFORE_START = 5, /* killed before target, or had no loop: 127 */
  GIPC_ENDED_UNSENT = 6        /* returned or exited, messages not written */
} gipc_ended;

/* What ends with a child of GIPC_GROUP_TREE. */
typedef enum gipc_tree {
  GIPC_TREE_NONE = 0,      /* the child alone */
  GIPC_TREE_CGROUP = 1,    /* all, at once: they are in a cgroup of their own */
  GIPC_TREE_SUBREAPER = 2, /* all that this process may kill */
  GIPC_TREE_SESSION = 3    /* its process group: there is no better way here */
} gipc_tree;

typedef struct gipc_exit_info {
  size_t size;   /* set by the caller: sizeof(gipc_exit_info) */
  int code;      /* exit code, or -1 */
  int signal;    /* the signal that terminated it, or 0 */
  int core;      /* 1: a core was dumped */
  int how;       /* a gipc_status_source */
  int ended;     /* a gipc_ended */
  double user;   /* processor seconds, or -1 where not known */
  double system; /* processor seconds, or -1 where not known */
  long max_rss;  /* KiB, or -1 where not known */
  int tree;      /* a gipc_tree */
  int left;      /* processes of the tree that were left when the child ended,
                    or -1 where not known */
  int killed;    /* those of them that were killed */
} gipc_exit_info;
/* Stores how the child ended.  -EAGAIN: it runs. */
GIPC_API GIPC_MUST_CHECK int gipc_process_info(gipc_process *p,
                                               gipc_exit_info *info);

/* Sends a signal to this child, and never to a process that reuses its process
 * ID; 0 only checks.  terminate sends SIGTERM, kill SIGKILL.  GIPC_EDEAD: it
 * has ended. */
GIPC_API GIPC_MUST_CHECK int gipc_process_signal(gipc_process *p, int signal);
GIPC_API GIPC_MUST_CHECK int gipc_process_terminate(gipc_process *p);
GIPC_API GIPC_MUST_CHECK int gipc_process_kill(gipc_process *p);
/* Sends SIGTERM and SIGCONT, after grace seconds SIGKILL, and waits for the
 * end. A cancellation point while it waits. */
GIPC_API GIPC_MUST_CHECK int gipc_process_stop(gipc_process *p, double grace);
/* The same for a watched process, without waiting: the exit callback is called
 * at the end.  -EINVAL: p is not watched. */
GIPC_API GIPC_MUST_CHECK int gipc_process_begin_stop(gipc_process *p,
                                                     double grace);
/* The same three for all processes of the group of p.  -EINVAL: p was not
 * started with a group of its own (gipc_options_set_group()).  When p has
 * ended, the others are killed without waiting.  Once p has been reaped, no
 * signal is sent: GIPC_EDEAD. */
GIPC_API GIPC_MUST_CHECK int gipc_process_signal_group(gipc_process *p,
                                                       int signal);
GIPC_API GIPC_MUST_CHECK int gipc_process_stop_group(gipc_process *p,
                                                     double grace);
GIPC_API GIPC_MUST_CHECK int gipc_process_begin_stop_group(gipc_process *p,
                                                           double grace);

/* Called once, from the loop, when p has ended.  It may free p.  Messages of p
 * may still be unread. */
typedef void (*gipc_exit_callback)(gipc_process *p, void *user);
/* Calls callback(p, user) from loop, which may be any loop of this thread.
 * GIPC_ELOCKED: p is watched already. */
GIPC_API GIPC_MUST_CHECK int gipc_process_watch(gipc_process *p,
                                                struct ev_loop *loop,
                                                gipc_exit_callback callback,
                                                void *user);
/* Cancels the watch: no callback is called, and a stop in progress sends no
 * SIGKILL.  -EINVAL: p is not watched. */
GIPC_API GIPC_MUST_CHECK int gipc_process_unwatch(gipc_process *p);
/* Passes on the wait status of p, which another child watcher has collected. */
GIPC_API GIPC_MUST_CHECK int gipc_process_report(gipc_process *p,
                                                 int wait_status);
/* Frees p.  A child that runs is detached: it runs on, and is reaped later,
 * within any call that starts, joins or frees a process.  p may be NULL. */
GIPC_API void gipc_process_free(gipc_process *p);

/* ---- Templates: gipc_template(3) ----------------------------------------- */

typedef struct gipc_template gipc_template;

/* Forks a template: a process that sleeps, and forks function children of this
 * program on request.  A later start costs what a fork of the template costs,
 * however large this program has become.  Call it early.  options (or NULL)
 * apply to the template, and its children start with what they set.  -EINVAL:
 * options pass handles.  -EOPNOTSUPP: the system has no templates (not Linux,
 * or not glibc). */
GIPC_API GIPC_MUST_CHECK int gipc_template_new(const gipc_options *options,
                                               gipc_template **t);
/* The same with a program that calls gipc_template_serve().  Errors as for
 * gipc_exec_process(). */
GIPC_API GIPC_MUST_CHECK int gipc_template_exec(const char *const argv[],
                                                const gipc_options *options,
                                                gipc_template **t);
/* As gipc_start_process(), from the template; may be called in several threads
 * for one t.  The child has the memory that the template had at its start.
 * target gets a copy of the size bytes at argument; with size 0 it gets the
 * pointer.  Passed handles need names, and target gets them with
 * gipc_inherit().  target is NULL for a program, in which gipc_template_serve()
 * returns.  GIPC_EDEAD: the template and its spare have ended.  -E2BIG: more
 * than 253 descriptors, or argument and options exceed 128 KiB.  -EBUSY: a
 * passed handle holds unread or queued bytes, or the template has several
 * threads.  -EINVAL: gipc_options_set_fork().  -EOPNOTSUPP:
 * gipc_options_keep_all_fds(). */
GIPC_API GIPC_MUST_CHECK int
gipc_template_start(gipc_template *t,
                    int (*target)(struct ev_loop *fresh, void *argument),
                    const void *argument, size_t size,
                    const gipc_options *options, gipc_process **process);
/* In a program that gipc_template_exec() started: serves, and returns 0 in each
 * child, with its argument, which stays valid.  End the child with gipc_exit().
 * In the template it returns on an error only, such as -ENOENT: the program was
 * not started so. */
GIPC_API GIPC_MUST_CHECK int gipc_template_serve(const void **argument,
                                                 size_t *size);
/* Ends the template.  Its children run on.  t may be NULL. */
GIPC_API void gipc_template_free(gipc_template *t);

/* ---- Waiting for several, and ending a wait: gipc_wait(3) ---------------- */

typedef struct gipc_wait_set gipc_wait_set;

/* Makes an empty set, for one thread that waits for handles and processes
 * without a loop.  It holds two descriptors.  -EMFILE, -ENFILE, -ENOMEM. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_new(gipc_wait_set **set);
/* Frees set, and not its members.  set may be NULL. */
GIPC_API void gipc_wait_set_free(gipc_wait_set *set);
/* Adds h, to be waited for in these directions (a mask of GIPC_READ and
 * GIPC_WRITE); a second call changes them.  A member that is freed is removed.
 * GIPC_ELOCKED: h is started on a loop. */
GIPC_API GIPC_MUST_CHECK int
gipc_wait_set_add_handle(gipc_wait_set *set, gipc_handle *h, int directions);
/* Adds p, to be waited for until it has ended. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_add_process(gipc_wait_set *set,
                                                       gipc_process *p);
/* Remove a member.  -ENOENT: it is not in the set. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_remove_handle(gipc_wait_set *set,
                                                         gipc_handle *h);
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_remove_process(gipc_wait_set *set,
                                                          gipc_process *p);
/* Waits until a member is ready, and returns the number of those that are.
 * -ETIMEDOUT: none.  -ECANCELED: gipc_wait_set_wake().  A reader is ready when
 * it holds a whole message, when its descriptor is readable (perhaps for a part
 * of a message: then gipc_try_get() is -EAGAIN, and gipc_get() waits), and at
 * its end; a writer when its descriptor is writable; a handle that is closed or
 * has failed, always; a process when it has ended.  A member stays ready until
 * its state changes.  A cancellation point while it waits. */
GIPC_API GIPC_MUST_CHECK int gipc_wait(gipc_wait_set *set, double timeout);
/* Stores the next member that the last gipc_wait() found ready: a handle and
 * its directions, or a process; the other pointer is NULL.  -EAGAIN: there are
 * no more.  Members may be removed, closed or freed between two calls. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_next(gipc_wait_set *set,
                                                gipc_handle **handle,
                                                gipc_process **process,
                                                int *directions);
/* Makes the gipc_wait() in progress, or else the next one, return -ECANCELED,
 * once.  May be called in any thread; async-signal-safe. */
GIPC_API GIPC_MUST_CHECK int gipc_wait_set_wake(gipc_wait_set *set);

/* on != 0: allows gipc_interrupt() on h.  h then holds two more descriptors
 * until it is freed, and blocking calls on h wait with poll(2).  -EMFILE,
 * -ENFILE, -ENOMEM; GIPC_ELOCKED: h is in use by another thread. */
GIPC_API GIPC_MUST_CHECK int gipc_set_interruptible(gipc_handle *h, int on);
/* Makes the blocking call on h that is in progress, or else the next one,
 * return -ECANCELED, once, with the effect of an expired timeout.  (A put whose
 * message is partly written returns -EINPROGRESS; gipc_close_within() has
 * closed h.)  May be called in any thread; async-signal-safe.  -EINVAL: h is
 * not interruptible. */
GIPC_API GIPC_MUST_CHECK int gipc_interrupt(gipc_handle *h);

/* ---- In children: gipc_inherit(3) ---------------------------------------- */

/* In a program: makes the handle that the parent passed under this name.
 * -ENOENT: no such name, or nothing was passed.  -EINVAL: not a valid name.
 * GIPC_EBADHANDLES: GIPC_HANDLES is malformed or stale. */
GIPC_API GIPC_MUST_CHECK int gipc_inherit(const char *name,
                                          gipc_handle **handle);
/* In a program behind a launcher (ssh, srun, docker run -i): makes a handle of
 * stdin and stdout.  From then on descriptor 0 is /dev/null, and 1 goes where
 * stderr goes, or to /dev/null without one.  Call it before anything is
 * printed. -EBADF: one is closed.  GIPC_ECLOSED: one is /dev/null, as after a
 * first call. -EINVAL: stderr is stdout, as on a terminal. */
GIPC_API GIPC_MUST_CHECK int gipc_stdio(gipc_handle **handle);
/* Ends a function child as the return of its target does.  In another process:
 * as _exit(2), after the queues are written. */
GIPC_API void gipc_exit(int code) __attribute__((noreturn));
/* The same for a runtime that calls the target itself.  gipc_process_info()
 * reports ended: GIPC_ENDED_RETURN, GIPC_ENDED_EXIT or GIPC_ENDED_EXCEPTION;
 * for any other value GIPC_ENDED_EXIT. */
GIPC_API void gipc_exit_as(int code, int ended) __attribute__((noreturn));
/* The end of a function child, and gipc_exit(), wait until queued messages are
 * written.  They give up when for this many seconds not a byte could be
 * written. < 0: never; 0: at once.  Default 60.  Function children inherit it.
 */
GIPC_API GIPC_MUST_CHECK int gipc_set_exit_timeout(double seconds);

/* ---- Readiness: gipc_ready(3) -------------------------------------------- */

/* Reports to the supervisor of this process, such as a keeper or systemd, by
 * the protocol of sd_notify(3).  -ENOENT: there is none, that is, the variable
 * NOTIFY_SOCKET is not set.  -EAFNOSUPPORT: its value is not valid. */

/* It is ready.  Waits while the supervisor has too much to read; a cancellation
 * point. */
GIPC_API GIPC_MUST_CHECK int gipc_ready(void);
/* It is alive.  Does not wait: -EAGAIN. */
GIPC_API GIPC_MUST_CHECK int gipc_alive(void);

typedef enum gipc_notify {
  GIPC_NOTIFY_READY = 1,
  GIPC_NOTIFY_ALIVE = 2,
  GIPC_NOTIFY_STOPPING = 4
} gipc_notify;

/* The other end, for one process that is to be started. */
typedef struct gipc_notify_socket gipc_notify_socket;

/* Makes a socket with an address of its own. */
GIPC_API GIPC_MUST_CHECK int gipc_notify_socket_new(gipc_notify_socket **s);
/* Returns the value of NOTIFY_SOCKET for that process; valid until s is freed.
 */
GIPC_API const char *gipc_notify_socket_address(const gipc_notify_socket *s);
/* Returns a descriptor that is readable (level-triggered) when there is
 * something to receive.  s owns it. */
GIPC_API GIPC_MUST_CHECK int gipc_notify_socket_fd(const gipc_notify_socket *s);
/* Returns what the next datagram says, a mask of gipc_notify; 0: nothing of
 * that.  Only processes of this user, and `process` (0: none), are believed:
 * datagrams of others are 0.  Descriptors that come with one are closed.
 * -EAGAIN: there is none. */
GIPC_API GIPC_MUST_CHECK int gipc_notify_socket_receive(gipc_notify_socket *s,
                                                        pid_t process);
/* s may be NULL. */
GIPC_API void gipc_notify_socket_free(gipc_notify_socket *s);

/* ---- Policies of pools and keepers, for a loop of one's own: gipc_policy(3)
 */

/* What a pool of workers, or a keeper of services, decides: which worker does
 * which task, when a process is started, stopped and killed, and what becomes
 * of a task whose worker ended.  A policy starts no process, reads no clock and
 * knows no loop.  Its driver reports what happened, with the time, then carries
 * out the actions of gipc_policy_next() until there are none, and waits for the
 * next event until gipc_policy_next_time().  gipc_pool_new()
 * and gipc_keeper_new() have drivers on libev. */
typedef struct gipc_policy gipc_policy;

/* Why a process was stopped, or how a task ended. */
typedef enum gipc_why {
  GIPC_WHY_NONE = 0,   /* the process ended by itself */
  GIPC_WHY_DONE = 1,   /* the task was answered */
  GIPC_WHY_FAILED = 2, /* the task was answered with a failure */
  GIPC_WHY_DIED = 3,   /* its worker ended by itself */
  GIPC_WHY_POISON = 4, /* it has ended so many workers that it is given up */
  GIPC_WHY_TIMED_OUT = 5,
  GIPC_WHY_CANCELLED = 6,
  GIPC_WHY_SILENT = 7,    /* no heartbeat */
  GIPC_WHY_NOT_READY = 8, /* not ready in time */
  GIPC_WHY_PROTOCOL = 9,  /* sent what it must not send */
  GIPC_WHY_RETIRED = 10,  /* did enough tasks, or uses too much memory */
  GIPC_WHY_IDLE = 11,     /* had nothing to do */
  GIPC_WHY_RELOAD = 12,   /* another one is ready in its place */
  GIPC_WHY_GROUP = 13,    /* stopped with a service that is restarted */
  GIPC_WHY_STOPPED = 14,  /* the pool or keeper stops */
  GIPC_WHY_GAVE_UP = 15   /* the pool or keeper gave up */
} gipc_why;

typedef enum gipc_action_kind {
  GIPC_ACTION_START = 1, /* start `worker` */
  GIPC_ACTION_SEND = 2,  /* send `task` to `worker` */
  GIPC_ACTION_DUMP = 3,  /* send `worker` the signal for a dump of its stacks */
  GIPC_ACTION_STOP = 4,  /* ask `worker` to end: one without a task by closing
                          * its handle, one that has `task` by SIGTERM */
  GIPC_ACTION_KILL = 5,  /* SIGKILL to `worker` */
  GIPC_ACTION_FINISH = 6,    /* deliver the end of `task`: `why` */
  GIPC_ACTION_DRAINED = 7,   /* tasks are accepted again, after an -EAGAIN */
  GIPC_ACTION_GAVE_UP = 8,   /* the pool, or the service, restarts no more */
  GIPC_ACTION_FINISHED = 9,  /* the service ended and is not restarted */
  GIPC_ACTION_RELOADED = 10, /* its new process has replaced the old one */
  GIPC_ACTION_RELOAD_FAILED = 11, /* it has not; the service goes on */
  GIPC_ACTION_STOPPED = 12 /* no process and no task is left: the last action */
} gipc_action_kind;

/* A service is restarted when its process ended: always; unless it ended with
 * code 0; never. */
typedef enum gipc_restart {
  GIPC_RESTART_ALWAYS = 0,
  GIPC_RESTART_ON_FAILURE = 1,
  GIPC_RESTART_NEVER = 2
} gipc_restart;

/* Which services are restarted with one that ended. */
typedef enum gipc_strategy {
  GIPC_ONE_FOR_ONE = 0,  /* no other one */
  GIPC_REST_FOR_ONE = 1, /* those after it */
  GIPC_ALL_FOR_ONE = 2
} gipc_strategy;

/* What a task is carried out again for, while it has retries: a mask. */
#define GIPC_RETRY_DIED 1
#define GIPC_RETRY_TIMED_OUT 2
#define GIPC_RETRY_FAILED 4

/* The rules of a pool, or of one service of a keeper.  0 is the default of
 * each; times are seconds.  A negative idle, ready_within, silence, dump or
 * grace is no limit. */
typedef struct gipc_rules {
  size_t size; /* set by the caller: sizeof(gipc_rules); convention 8 */
  /* Pool */
  size_t most;        /* workers; default: the processors */
  size_t least;       /* workers that are kept without tasks; default 0 */
  size_t queue_limit; /* tasks that wait for a worker; default 1024 */
  size_t queue_low;   /* GIPC_ACTION_DRAINED at so many; default half of that */
  uint64_t retire_tasks;  /* a worker retires after so many; default: never */
  uint64_t retire_memory; /* or at so many bytes; default: never */
  double idle;            /* a worker above `least` ends after so long without
                           * a task; default: no limit */
  int poison;             /* workers that one task may end; default 3 */
  int prepare_failures;   /* starts in a row that may fail; default 3 */
  /* Service */
  int restart; /* a gipc_restart */
  /* Both */
  double ready_within;  /* from the start; default: no limit */
  double silence;       /* between two signs of life, of a pool's worker only
                         * while it has a task; default: no limit */
  double dump;          /* from the signal for a dump to the stop; default 5 */
  double grace;         /* from SIGTERM to SIGKILL; default 5 */
  double first_delay;   /* before a restart; default 0.1 */
  double longest_delay; /* default 30 */
  double growth;  /* of the delay, with each failure in a row; default 2 */
  double jitter;  /* the part of a delay that is random; default 0.5, < 0: 0 */
  double healthy; /* so long after its start a process has not failed, and the
                   * delay starts again at the first; default 10 */
  double window;  /* of `limit`; default 60 */
  int limit;      /* restarts in a window, then it gives up; default: none */
  uint64_t seed;  /* of the jitter: the same seed makes the same delays */
  /* Service */
  int notify; /* 1: it reports when it is ready, as gipc_ready() does; 0: it is
               * ready when it is started */
  /* Pool */
  size_t ahead; /* tasks that a worker is sent before it has answered the one
                 * that it carries out; default 0 */
} gipc_rules;

/* The name of the first member whose value is not valid, or NULL. */
GIPC_API const char *gipc_rules_wrong(const gipc_rules *rules);
/* Sets a member by its name.  -ENOENT: there is no such member.  -EINVAL: its
 * type cannot have this value.  Values are checked together by
 * gipc_rules_wrong(). */
GIPC_API GIPC_MUST_CHECK int gipc_rules_set(gipc_rules *rules, const char *name,
                                            double value);

/* Makes the policy of a pool.  rules may be NULL: the defaults.  -EINVAL:
 * gipc_rules_wrong() has the name. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_new_pool(const gipc_rules *rules,
                                                  gipc_policy **policy);
/* Makes the policy of a keeper of `count` services, in the order in which they
 * start.  `rules` is an array of pointers, one for each.  -EINVAL: no service,
 * or wrong rules. */
GIPC_API GIPC_MUST_CHECK int
gipc_policy_new_keeper(int strategy, const gipc_rules *const rules[],
                       size_t count, gipc_policy **policy);
/* policy may be NULL. */
GIPC_API void gipc_policy_free(gipc_policy *policy);

typedef struct gipc_task_rules {
  size_t size;    /* set by the caller: sizeof(gipc_task_rules) */
  double timeout; /* seconds of each execution; <= 0: no limit */
  int priority;   /* higher ones first */
  int retries;    /* executions after the first */
  int retry_for;  /* GIPC_RETRY_ mask; 0: GIPC_RETRY_DIED */
  void *user;     /* returned in each action for the task */
} gipc_task_rules;

/* Adds a task; rules may be NULL.  The number of a task, and that of a worker,
 * is never used twice.  -EAGAIN: full, and GIPC_ACTION_DRAINED follows.
 * GIPC_ECLOSED: the pool stops, or gave up.  -ENOMEM. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_submit(gipc_policy *policy,
                                                const gipc_task_rules *rules,
                                                uint64_t *task);
/* Cancels a task; the worker of a running one is stopped.  In both cases
 * GIPC_ACTION_FINISH follows, when the worker has ended.  -ENOENT: the task has
 * finished. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_cancel(gipc_policy *policy,
                                                uint64_t task, double now);

/* Reports.  GIPC_ACTION_START is followed by one gipc_policy_started() or
 * gipc_policy_start_failed(); a start by one gipc_policy_ended(), when the exit
 * status is known and the messages have been read.  -ENOENT: it has ended.
 * -EINVAL: not of this kind of policy. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_started(gipc_policy *policy,
                                                 uint64_t worker, pid_t pid,
                                                 double now);
GIPC_API GIPC_MUST_CHECK int gipc_policy_start_failed(gipc_policy *policy,
                                                      uint64_t worker,
                                                      int error, double now);
GIPC_API GIPC_MUST_CHECK int gipc_policy_ended(gipc_policy *policy,
                                               uint64_t worker,
                                               const gipc_exit_info *info,
                                               double now);
/* It is ready, or shows a sign of life. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_ready(gipc_policy *policy,
                                               uint64_t worker, double now);
GIPC_API GIPC_MUST_CHECK int gipc_policy_alive(gipc_policy *policy,
                                               uint64_t worker, double now);
/* Of a pool: the memory that a worker uses, for `retire_memory`. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_memory(gipc_policy *policy,
                                                uint64_t worker, uint64_t bytes,
                                                double now);
/* Of a pool: a worker sent what it must not send, or its handle failed.  It is
 * stopped. */
GIPC_API GIPC_MUST_CHECK int
gipc_policy_misbehaved(gipc_policy *policy, uint64_t worker, double now);
/* Of a pool: the put of a task failed with this error, so the worker did not
 * begin it.  It goes back to the queue, and this attempt does not count.
 * -EAGAIN: the worker is sent no task until its next answer; if it has no task
 * to answer, it did not read the last one, and is stopped.  Any other error:
 * the stream of the worker has ended, and it is sent no task any more.  task
 * may be 0: only its stream has ended. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_refused(gipc_policy *policy,
                                                 uint64_t worker, uint64_t task,
                                                 int error, double now);

/* Of a keeper: starts a second process of a service, and stops the first one
 * when it is ready.  GIPC_ACTION_RELOADED or GIPC_ACTION_RELOAD_FAILED
 * follows.  GIPC_ELOCKED: a reload is in progress.  GIPC_EDEAD: no process of
 * it runs.  -EINVAL: there is no such service. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_reload(gipc_policy *policy,
                                                size_t service, double now);
/* Ends all.  A pool first carries out the tasks that it has, for grace seconds
 * at most (< 0: no limit; 0: not at all).  A keeper stops its services in
 * reverse order, and ignores grace.  GIPC_ACTION_STOPPED follows. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_stop(gipc_policy *policy, double grace,
                                              double now);

typedef struct gipc_action {
  size_t size;     /* set by the caller: sizeof(gipc_action) */
  int kind;        /* a gipc_action_kind */
  int why;         /* a gipc_why */
  uint64_t worker; /* or the process of a service */
  uint64_t task;
  void *user;          /* of the task */
  size_t service;      /* of a keeper: its index */
  int attempt;         /* of the task, or start of the worker in its place;
                          1 for the first */
  int pid;             /* of the worker */
  int error;           /* why it could not be started, or 0 */
  int has_info;        /* 1: the worker has ended, as info says */
  gipc_exit_info info; /* its size is always that of this library */
} gipc_action;
/* 1: *action is the next thing to do.  0: nothing, until the next event or
 * gipc_policy_next_time(). */
GIPC_API GIPC_MUST_CHECK int gipc_policy_next(gipc_policy *policy, double now,
                                              gipc_action *action);
/* When gipc_policy_next() is to be called at the latest; HUGE_VAL: no time. */
GIPC_API double gipc_policy_next_time(const gipc_policy *policy);

typedef struct gipc_policy_stats {
  size_t size;           /* set by the caller: sizeof(gipc_policy_stats) */
  size_t queued;         /* tasks */
  size_t running;        /* tasks, also those that were sent ahead */
  size_t workers;        /* processes that run, or are being started */
  size_t starting;       /* those of them that are not ready yet */
  uint64_t submitted;    /* tasks */
  uint64_t retries;      /* executions after the first */
  uint64_t starts;       /* of processes */
  uint64_t failures;     /* processes that ended, and were not asked to */
  uint64_t finished[16]; /* tasks, by gipc_why */
} gipc_policy_stats;
/* Of a pool.  -EINVAL: a keeper. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_get_stats(const gipc_policy *policy,
                                                   gipc_policy_stats *stats);

typedef struct gipc_worker_stats {
  size_t size;     /* set by the caller: sizeof(gipc_worker_stats) */
  uint64_t worker; /* 0: none */
  uint64_t tasks;  /* that it was sent */
  uint64_t memory; /* bytes, as it was reported last */
  double busy;     /* seconds that its answered tasks took */
  uint64_t task;   /* that it has, or 0 */
  int pid;
  int state; /* a gipc_worker_state */
} gipc_worker_stats;
typedef enum gipc_worker_state {
  GIPC_WORKER_OFF = 0,
  GIPC_WORKER_STARTING = 1,
  GIPC_WORKER_READY = 2,
  GIPC_WORKER_SILENT = 3, /* no sign of life; was sent the signal for a dump */
  GIPC_WORKER_STOPPING = 4,
  GIPC_WORKER_KILLED = 5
} gipc_worker_state;
/* The worker in a slot, from 0 on: a pool has `most`, a keeper one for each
 * service.  -ENOENT: there is no such slot. */
GIPC_API GIPC_MUST_CHECK int gipc_policy_worker_stats(const gipc_policy *policy,
                                                      size_t slot,
                                                      gipc_worker_stats *stats);

/* ---- Messages between a pool and its workers: gipc_worker(7) --------------
 */

typedef enum gipc_worker_message_kind {
  GIPC_MESSAGE_TASK = 'T',  /* to the worker */
  GIPC_MESSAGE_READY = 'R', /* from the worker, before its first task */
  GIPC_MESSAGE_ALIVE = 'A', /* at any time */
  GIPC_MESSAGE_DONE = 'D',  /* the answer to a task */
  GIPC_MESSAGE_FAILED = 'F' /* the answer to a task that failed */
} gipc_worker_message_kind;

/* A text of a failed task, in UTF-8 where the worker's language has it. */
typedef struct gipc_text {
  const char *data;
  size_t size;
} gipc_text;

typedef struct gipc_worker_message {
  size_t size;      /* set by the caller: sizeof(gipc_worker_message) */
  int kind;         /* a gipc_worker_message_kind */
  uint32_t attempt; /* of the task: 1 for the first */
  uint64_t task;
  const void *data; /* the task, its result, or what else a failure has */
  size_t data_size;
  /* Of a failure: class, message and stack trace. */
  gipc_text type, text, trace;
  void *user; /* of the task, set by gipc_policy_received() */
} gipc_worker_message;

/* Writes a message in `bytes`, if `room` is enough, and stores its size in any
 * case.  -EMSGSIZE: room is less.  -EINVAL: kind. */
GIPC_API GIPC_MUST_CHECK int
gipc_worker_encode(const gipc_worker_message *message, void *bytes, size_t room,
                   size_t *needed);
/* Reads a message; its pointers are into data.  GIPC_EPROTOCOL: malformed. */
GIPC_API GIPC_MUST_CHECK int gipc_worker_decode(const void *data, size_t size,
                                                gipc_worker_message *message);
/* Reads a message of a worker and reports it to the policy of its pool.
 * GIPC_EPROTOCOL: malformed, or not the worker's turn; the worker is stopped.
 * -ENOENT: the worker has ended, or was stopped and may answer no more; the
 * message is to be dropped. */
GIPC_API GIPC_MUST_CHECK int
gipc_policy_received(gipc_policy *policy, uint64_t worker, const void *data,
                     size_t size, double now, gipc_worker_message *message);

/* ---- Workers: gipc_pool(3) -----------------------------------------------
 */

/* Carries out a task.  *answer is a GIPC_MESSAGE_DONE without data; set its
 * data and data_size to the result, in memory that stays valid until the next
 * call, or the return of gipc_worker_serve().  A task fails with a result < 0,
 * or if it sets the kind to GIPC_MESSAGE_FAILED and describes why in type, text
 * and trace, and perhaps data. */
typedef int (*gipc_work)(const gipc_worker_message *task,
                         gipc_worker_message *answer, void *user);
/* In a worker: says that it is ready, and calls work(task, answer, user) for
 * each task of h, whose descriptors work may take with gipc_take_fds(h, ...),
 * until the pool wants no more of this worker: 0.  Else the error of h, or
 * GIPC_EPROTOCOL. */
GIPC_API GIPC_MUST_CHECK int gipc_worker_serve(gipc_handle *h, gipc_work work,
                                               void *user);
/* In a worker, within work: shows a sign of life, for pools whose rules have
 * `silence`.  A worker that waits for a task needs none. */
GIPC_API GIPC_MUST_CHECK int gipc_worker_alive(gipc_handle *h);

/* ---- Pools of workers on a libev loop: gipc_pool(3) -----------------------
 */

typedef struct gipc_pool gipc_pool;

/* What runs in each worker: prepares what its tasks need, then returns the
 * result of gipc_worker_serve(handle, ...) as its exit code. */
typedef int (*gipc_worker_function)(struct ev_loop *fresh, gipc_handle *handle,
                                    void *argument);

/* Makes a pool whose workers are function children.  rules and options may be
 * NULL, and are copied.  Workers are daemons: they end with this process.
 * -EINVAL: wrong rules, as gipc_rules_wrong() says, or options that pass
 * handles or make pipes of stdin or stdout. */
GIPC_API GIPC_MUST_CHECK int gipc_pool_new(gipc_worker_function function,
                                           void *argument,
                                           const gipc_rules *rules,
                                           const gipc_options *options,
                                           gipc_pool **pool);
/* The same with a program, which gets its handle with gipc_inherit("worker").
 * If options make pipes of stdin and stdout, it is a launcher, and the program
 * behind it gets its handle with gipc_stdio(). */
GIPC_API GIPC_MUST_CHECK int gipc_pool_exec(const char *const argv[],
                                            const gipc_rules *rules,
                                            const gipc_options *options,
                                            gipc_pool **pool);

typedef struct gipc_result {
  size_t size; /* set by the library: what it knows */
  int why;     /* a gipc_why */
  int attempt; /* executions; 0: it was not sent to a worker */
  uint64_t task;
  void *user;       /* of its rules */
  const void *data; /* of the answer; valid until the callback returns */
  size_t data_size;
  gipc_text type, text, trace; /* of GIPC_WHY_FAILED */
  /* The worker that had it last, or 0, and how that ended, if it did. */
  uint64_t worker;
  int pid;
  /* Why it could not be started, or sent the descriptors of the task; or 0. */
  int error;
  int has_info; /* 1: the worker has ended, as info says */
  gipc_exit_info info;
  /* What that worker wrote to its stderr at last, if the options make a pipe of
   * that: 4 KiB at most; valid until the callback returns. */
  gipc_text last_lines;
} gipc_result;

typedef struct gipc_worker_change {
  size_t size; /* set by the library: what it knows */
  int state;   /* GIPC_WORKER_STARTING, GIPC_WORKER_READY or GIPC_WORKER_OFF */
  int why;     /* it was stopped; GIPC_WHY_NONE: it ended by itself */
  uint64_t worker;
  int pid;
  int error;    /* why it could not be started, or 0 */
  int has_info; /* 1: it has ended, as info says */
  gipc_exit_info info;
  gipc_text last_lines; /* as those of a result */
} gipc_worker_change;

typedef struct gipc_pool_events {
  size_t size; /* set by the caller: sizeof(gipc_pool_events); convention 8 */
  /* Once for each task.  May be NULL, as all of them. */
  void (*on_result)(gipc_pool *pool, const gipc_result *result, void *user);
  /* After a refused put: the queue has room. */
  void (*on_drain)(gipc_pool *pool, void *user);
  void (*on_worker)(gipc_pool *pool, const gipc_worker_change *change,
                    void *user);
  /* Once, and last: no task and no worker is left.  why is GIPC_WHY_STOPPED or
   * GIPC_WHY_GAVE_UP. */
  void (*on_end)(gipc_pool *pool, int why, void *user);
} gipc_pool_events;

/* Runs pool on loop, which may be any loop of this thread.  Callbacks are
 * called from the loop only, and may call any function, and free pool.
 * GIPC_ELOCKED: it was started before. */
GIPC_API GIPC_MUST_CHECK int gipc_pool_start(gipc_pool *pool,
                                             struct ev_loop *loop,
                                             const gipc_pool_events *events,
                                             void *user);
/* Adds a task with a copy of the data; rules may be NULL.  May be called before
 * gipc_pool_start().  -EAGAIN: full, on_drain follows.  GIPC_ECLOSED: the pool
 * stops, or gave up.  GIPC_ETOOBIG: it exceeds 1 GiB. */
GIPC_API GIPC_MUST_CHECK int gipc_pool_try_put(gipc_pool *pool,
                                               const void *data, size_t size,
                                               const gipc_task_rules *rules,
                                               uint64_t *task);
/* The same with descriptors, of which the task keeps duplicates until it has
 * ended.  The worker takes them within its work, with gipc_take_fds(handle,
 * ...).  A task fails whose worker cannot be sent them, with the code in
 * `error`: -EOPNOTSUPP behind a launcher.  -EBADF, -EMFILE: nothing was put. */
GIPC_API GIPC_MUST_CHECK int
gipc_pool_try_put_with(gipc_pool *pool, const void *data, size_t size,
                       const int *fds, size_t count,
                       const gipc_task_rules *rules, uint64_t *task);
/* Cancels a task; the worker of a running one is stopped.  on_result follows.
 * -ENOENT: the task has finished. */
GIPC_API GIPC_MUST_CHECK int gipc_pool_cancel(gipc_pool *pool, uint64_t task);
/* Accepts no more tasks, carries out those that there are for grace seconds at
 * most (< 0: no limit; 0: not at all), and stops the workers.  on_end follows.
 */
GIPC_API GIPC_MUST_CHECK int gipc_pool_stop(gipc_pool *pool, double grace);
/* The signal for a dump of the stacks of a worker that was silent; 0, the
 * default: none. */
GIPC_API GIPC_MUST_CHECK int gipc_pool_set_dump_signal(gipc_pool *pool,
                                                       int signal);
GIPC_API GIPC_MUST_CHECK int gipc_pool_stats(const gipc_pool *pool,
                                             gipc_policy_stats *stats);
/* As gipc_policy_worker_stats(), with the memory that the worker uses now. */
GIPC_API GIPC_MUST_CHECK int gipc_pool_worker_stats(const gipc_pool *pool,
                                                    size_t slot,
                                                    gipc_worker_stats *stats);
/* Kills the workers, and frees pool; no callback is called any more.  pool may
 * be NULL. */
GIPC_API void gipc_pool_free(gipc_pool *pool);

/* ---- Keepers of services on a libev loop: gipc_keeper(3) ------------------
 */

typedef struct gipc_keeper gipc_keeper;

/* Makes a keeper without services; strategy is a gipc_strategy. */
GIPC_API GIPC_MUST_CHECK int gipc_keeper_new(int strategy,
                                             gipc_keeper **keeper);
/* Adds a service, before gipc_keeper_start(): a function child, as
 * gipc_start_process() starts it.  Stores its index, from 0 on; services start
 * in this order.  rules and options may be NULL, and are copied.  A process is
 * a daemon: it ends with this process, unless options say that it is none.
 * -EEXIST: another service has this name.  -EINVAL: service is NULL, rules are
 * wrong, as gipc_rules_wrong() says, or options pass handles or make a pipe of
 * stdin or stdout; of a pipe of stderr the keeper keeps the last lines. */
GIPC_API GIPC_MUST_CHECK int
gipc_keeper_add(gipc_keeper *keeper, const char *name,
                int (*function)(struct ev_loop *fresh, void *argument),
                void *argument, const gipc_rules *rules,
                const gipc_options *options, size_t *service);
/* The same with a program, as gipc_exec_process() starts it. */
GIPC_API GIPC_MUST_CHECK int
gipc_keeper_add_exec(gipc_keeper *keeper, const char *name,
                     const char *const argv[], const gipc_rules *rules,
                     const gipc_options *options, size_t *service);

/* What happened to a process of a service, or to the service. */
typedef enum gipc_service_change_kind {
  GIPC_SERVICE_STARTED = 1,
  GIPC_SERVICE_READY = 2,
  GIPC_SERVICE_SILENT = 3, /* no sign of life; was sent the signal for a dump */
  GIPC_SERVICE_STOPPING = 4,      /* was sent SIGTERM: `why` */
  GIPC_SERVICE_KILLED = 5,        /* was sent SIGKILL */
  GIPC_SERVICE_ENDED = 6,         /* or could not be started: `error` */
  GIPC_SERVICE_RELOADED = 7,      /* this process has replaced the old one */
  GIPC_SERVICE_RELOAD_FAILED = 8, /* it has not; the service goes on */
  GIPC_SERVICE_FINISHED = 9,      /* the service is not restarted */
  GIPC_SERVICE_GAVE_UP = 10       /* nor here: it exceeds its limit */
} gipc_service_change_kind;

typedef struct gipc_service_change {
  size_t size;    /* set by the library: what it knows */
  int kind;       /* a gipc_service_change_kind */
  int why;        /* it was stopped; GIPC_WHY_NONE: it was not */
  size_t service; /* its index */
  const char *name;
  uint64_t process; /* its number, never used twice */
  int pid;
  int error;    /* why it could not be started, or 0 */
  int has_info; /* 1: it has ended, as info says */
  gipc_exit_info info;
  /* Of GIPC_SERVICE_ENDED: the last lines that the process wrote to a stderr
   * that is a pipe, as those of a result; or none. */
  gipc_text last_lines;
} gipc_service_change;

typedef struct gipc_keeper_events {
  size_t size; /* set by the caller: sizeof(gipc_keeper_events); convention 8 */
  /* May be NULL, as all of them. */
  void (*on_service)(gipc_keeper *keeper, const gipc_service_change *change,
                     void *user);
  /* Before each start, with a copy of the service's options, which may be
   * changed for this start: gipc_options_pass().  A result < 0 is the error of
   * the start. */
  int (*on_start)(gipc_keeper *keeper, size_t service, gipc_options *options,
                  void *user);
  /* Once, and last: no process is left.  why is GIPC_WHY_STOPPED,
   * GIPC_WHY_GAVE_UP if a service was given up, or GIPC_WHY_DONE. */
  void (*on_end)(gipc_keeper *keeper, int why, void *user);
} gipc_keeper_events;

/* Starts the services on loop, which may be any loop of this thread.  Callbacks
 * are called from the loop only, and may call any function, and free keeper.
 * GIPC_ELOCKED: it was started before.  -EINVAL: it has no services. */
GIPC_API GIPC_MUST_CHECK int gipc_keeper_start(gipc_keeper *keeper,
                                               struct ev_loop *loop,
                                               const gipc_keeper_events *events,
                                               void *user);
/* Starts a second process of a service, and stops the first one when it is
 * ready.  GIPC_SERVICE_RELOADED or GIPC_SERVICE_RELOAD_FAILED follows.
 * GIPC_ELOCKED: a reload is in progress.  GIPC_EDEAD: no process of it runs. */
GIPC_API GIPC_MUST_CHECK int gipc_keeper_reload(gipc_keeper *keeper,
                                                size_t service);
/* Sends a signal to the process of a service.  GIPC_EDEAD: none runs. */
GIPC_API GIPC_MUST_CHECK int gipc_keeper_signal(gipc_keeper *keeper,
                                                size_t service, int signal);
/* Stops the services in reverse order: SIGTERM and SIGCONT, and SIGKILL after
 * `grace`.  on_end follows.  -EINVAL: it was not started. */
GIPC_API GIPC_MUST_CHECK int gipc_keeper_stop(gipc_keeper *keeper);
/* The signal for a dump of the stacks of a process that was silent; 0, the
 * default: none. */
GIPC_API GIPC_MUST_CHECK int gipc_keeper_set_dump_signal(gipc_keeper *keeper,
                                                         int signal);

typedef struct gipc_service_stats {
  size_t size;       /* set by the caller: sizeof(gipc_service_stats) */
  int state;         /* a gipc_worker_state */
  int pid;           /* 0: no process runs */
  uint64_t process;  /* its number, or that of the last one */
  uint64_t starts;   /* of processes */
  uint64_t failures; /* processes that ended, and were not asked to */
  double ready_for;  /* seconds */
  int is_kept;       /* 0: it is not started again */
  int why;           /* the process was stopped */
  int error;         /* why it could not be started, or 0 */
  int has_info;      /* 1: it has ended, as info says */
  gipc_exit_info info;
} gipc_service_stats;
GIPC_API GIPC_MUST_CHECK int gipc_keeper_stats(const gipc_keeper *keeper,
                                               size_t service,
                                               gipc_service_stats *stats);
/* Kills the processes, and frees keeper; no callback is called any more.
 * keeper may be NULL. */
GIPC_API void gipc_keeper_free(gipc_keeper *keeper);

/* ---- What a program has, and what it does: gipc_trace(3) ----------------- */

typedef enum gipc_handle_state {
  GIPC_HANDLE_OPEN = 1,
  GIPC_HANDLE_ENDED = 2,   /* open; a direction has ended, or has failed */
  GIPC_HANDLE_CLOSING = 3, /* closed or shut down; its loop writes the queue */
  GIPC_HANDLE_CLOSED = 4   /* not freed yet */
} gipc_handle_state;

typedef struct gipc_handle_entry {
  size_t size;               /* set by the library: what it knows */
  const gipc_handle *handle; /* to compare: another thread may have freed it */
  uint64_t id;    /* no other object of this process has it, or had */
  uint64_t pair;  /* the same at both ends of a pipe made here; else 0 */
  int state;      /* a gipc_handle_state */
  int directions; /* those that are open: GIPC_READ, GIPC_WRITE */
  int read_fd;    /* or -1 */
  int write_fd;
  int transport_in; /* GIPC_TRANSPORT_RING, _SOCKET, _NETWORK, _PIPE; or 0 */
  int transport_out;
  int on_loop; /* 1: it is started on a loop */
  int busy;    /* 1: an operation on it is in progress */
  int end_in;  /* why no more messages come, as a get returns it; or 0 */
  int end_out; /* why none can be put */
  double age;  /* seconds */
  double idle; /* seconds since a message was put or got; -1: not known */
  uint64_t messages_in;
  uint64_t messages_out;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t queued; /* bytes not yet written, as gipc_pending() has it */
  uint64_t unread; /* bytes sent here and not yet got, also in the kernel */
} gipc_handle_entry;

/* Calls each(entry, user) for each handle of this process, also those of other
 * threads, the oldest first.  All are looked at before the first call, which
 * may call any function.  A result other than 0 ends it, and is returned.
 * `idle` is known from the first call on.  -ENOMEM. */
GIPC_API GIPC_MUST_CHECK int
gipc_each_handle(int (*each)(const gipc_handle_entry *entry, void *user),
                 void *user);

typedef enum gipc_process_state {
  GIPC_PROCESS_RUNNING = 1,
  GIPC_PROCESS_ENDED = 2, /* not reaped yet */
  GIPC_PROCESS_REAPED = 3
} gipc_process_state;

typedef struct gipc_process_entry {
  size_t size;                 /* set by the library: what it knows */
  const gipc_process *process; /* as the handle of gipc_handle_entry */
  uint64_t id;                 /* as that of a handle */
  const char *name;            /* valid until the callback returns */
  int pid;
  int state;   /* a gipc_process_state */
  int on_loop; /* 1: it is watched */
  int code;    /* of a reaped one, as those of gipc_exit_info; else -1 */
  int signal;
  double age; /* seconds */
} gipc_process_entry;

/* The same for the children of this process, also those that were freed and
 * still run. */
GIPC_API GIPC_MUST_CHECK int
gipc_each_process(int (*each)(const gipc_process_entry *entry, void *user),
                  void *user);

/* From now on writes a line of JSON for each event of this process to a copy of
 * fd: gipc_trace(3) lists them.  -1 ends that.  Never waits: what cannot be
 * written is counted, and a later line says how many lines were dropped.  A
 * forked child writes none unless it calls this, too.  -EBADF.  -EINVAL: not a
 * stream, or not open for writing. */
GIPC_API GIPC_MUST_CHECK int gipc_trace(int fd);

/* ---- Runtimes that fork by themselves: gipc_fork(3) ---------------------- */

typedef struct gipc_fork gipc_fork_context;

/* Before the fork, in the thread that forks.  Blocks all signals until
 * gipc_fork_parent() or gipc_fork_child() in the same thread.  options must
 * last until then, and may be NULL. */
GIPC_API GIPC_MUST_CHECK int gipc_fork_prepare(const gipc_options *options,
                                               gipc_fork_context **f);
/* In the parent, with the result of the fork.  pid < 0: the fork failed, and
 * the preparation is undone; the result is -errno.  f is freed in any case. */
GIPC_API GIPC_MUST_CHECK int gipc_fork_parent(gipc_fork_context *f, pid_t pid,
                                              gipc_process **process);
/* In the child: resets inherited state, applies the options and frees f.  End
 * the child with gipc_exit(), also after an error. */
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
