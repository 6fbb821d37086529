/* The waiting half of gipc's own scheduler: a private libev loop on which
 * descriptors and times are waited for, by tokens.  It has no callbacks;
 * the Lua half asks which tokens are ready and resumes their coroutines. */
#ifndef GIPC_LUA_SCHEDULER_H
#define GIPC_LUA_SCHEDULER_H

typedef struct scheduler scheduler;

/* NULL: no memory, or no descriptor for a loop. */
scheduler *scheduler_new(void);
/* In a child, frees the inherited loop without any effect on the parent. */
void scheduler_free(scheduler *s);

/* Waits for fd (-1: none), in a direction of gipc_fd(), at most timeout seconds
 * (< 0: indefinitely).  Returns a token, -EINVAL or -ENOMEM. */
int scheduler_watch(scheduler *s, int fd, int direction, double timeout);
/* Ends the wait of a token, which is then free for another one. */
int scheduler_forget(scheduler *s, int token);
/* Makes all waits for a descriptor ready, before it is closed: libev ends the
 * process when the descriptor of a watcher is closed and its number is reused.
 */
int scheduler_forget_fd(scheduler *s, int fd);

/* Looks for what is ready; blocks until something is, or until a signal, if
 * block is not 0.  Returns how many tokens are ready. */
int scheduler_run(scheduler *s, int block);
/* Takes the next ready token, which is then free for another wait; -EAGAIN: no
 * more.  *timed_out is 1 if its timeout expired first. */
int scheduler_next(scheduler *s, int *timed_out);

#endif
