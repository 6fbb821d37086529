/* Used by the tests of processes: starts, ends and inspects children.
 *
 * CHECK works in the test, in its threads and in any child: only the test
 * itself may return into cmocka. */
#ifndef GIPC_TESTS_SUPPORT_PROCESS_H
#define GIPC_TESTS_SUPPORT_PROCESS_H

#include "support.h"

#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

void check_at(bool holds, const char *what, const char *file, int line);
void check_is_at(long got, long expected, const char *what, const char *file,
                 int line);
#define CHECK(condition) check_at((condition), #condition, __FILE__, __LINE__)
/* Prints both values. */
#define CHECK_IS(got, expected)                                                \
  check_is_at((got), (expected), #got, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_IS(call, 0)

/* ---- Starting and ending ------------------------------------------------ */

typedef int (*target_function)(struct ev_loop *fresh, void *argument);

gipc_options *new_options(void);
gipc_process *start(target_function target, void *argument,
                    const gipc_options *o);
/* The path of one of tests/programs. */
#define PROGRAM(name) PROGRAMS "/" name
/* The arguments end with NULL. */
gipc_process *execute(const gipc_options *o, const char *program, ...);
/* Joins and frees p, and returns its exit code. */
int end_of(gipc_process *p);
gipc_exit_info info_of(gipc_process *p);
/* Runs target in a child, and returns its exit code. */
int in_child(target_function target, void *argument, const gipc_options *o);
/* Skips the test where there are no templates. */
gipc_template *new_template(const gipc_options *o);
gipc_process *start_from(gipc_template *t, target_function target,
                         const void *argument, size_t size,
                         const gipc_options *o);
/* Runs target in a child of the template, and returns its exit code. */
int run_from(gipc_template *t, target_function target, const void *argument,
             size_t size, const gipc_options *o);
/* Runs body in a child of the test's own fork; it must return 0. */
void in_own_fork(int (*body)(void *argument), void *argument);

/* Kills p, joins it, frees it. */
void destroy(gipc_process *p);
/* The letter of /proc/PID/stat; X when there is none. */
char state_of(pid_t pid);
/* Waits until a process, which need not be a child, has ended. */
bool gone_within(pid_t pid, double seconds);

/* ---- Targets ------------------------------------------------------------ */

/* Returns its argument, an int cast to a pointer. */
int return_argument(struct ev_loop *fresh, void *argument);
#define INT(value) ((void *)(intptr_t)(value))
/* Waits for a signal indefinitely. */
int wait_for_signal(struct ev_loop *fresh, void *argument);

/* ---- Looking ------------------------------------------------------------ */

/* Reads to the end, closes fd, and returns the length.  A 0 follows the text.
 */
size_t read_text(int fd, char *text, size_t size);
/* Runs a program with stdout (and stderr) to a pipe; returns its exit code. */
int output_of(gipc_options *o, const char *const argv[], char *text,
              size_t size);
size_t read_file(const char *path, char *text, size_t size);
/* Stores the open descriptors in order, and returns their number. */
int list_fds(int *fds, int max);
/* A mask of /proc/self/status, as "SigBlk". */
uint64_t signal_field(const char *field);
/* A directory for this test program's files, removed at its end. */
const char *scratch(const char *name, char path[128]);

/* Skips a test of what valgrind emulates, or cannot: descriptors, limits and
 * signals as the kernel sees them. */
bool under_valgrind(void);
void not_under_valgrind(void);
/* The portable fallback is tested, which uses no pidfd. */
bool portable(void);

/* ---- Kernels that lack something ------------------------------------------
 * For a process that ends with the test: this cannot be undone.  False where
 * the system does not allow it. */
bool fail_call(long number, int error);
/* Fails it only where an argument (from 0) has this value, or these bits. */
bool fail_call_with(long number, int argument, uint32_t value, int error);
bool fail_call_with_bits(long number, int argument, uint32_t bits, int error);
/* madvise(2) is 0 and has no effect, as that of an emulator is by itself. */
bool make_madvise_lie(void);
/* As before Linux 6.13: no PIDFD_GET_INFO. */
bool fail_pidfd_info(void);

#ifdef __cplusplus
}
#endif
#endif
