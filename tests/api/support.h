/* Used by every test program: checks, leaks, deadlines, children.
 *
 * List a test as TEST(name): its setup counts descriptors and starts the
 * deadline, its teardown fails if a descriptor or a child is left. */
#ifndef GIPC_TESTS_SUPPORT_H
#define GIPC_TESTS_SUPPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h is not for C++ by itself. */
#ifdef __cplusplus
extern "C" {
#endif
#include <cmocka.h>
#ifdef __cplusplus
}
#endif
/* A macro of cmocka 2.0; functions of the tests and of std have the same name.
 */
#undef stop

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "gipc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Checks ------------------------------------------------------------- */

/* On failure both results are printed as text. */
void check_result(long got, long expected, const char *call, const char *file,
                  int line);
#define RESULT(call, expected)                                                 \
  check_result((call), (expected), #call, __FILE__, __LINE__)
#define OK(call) RESULT(call, 0)

/* In a forked child, which must not return into cmocka: prints the position on
 * stderr and ends the child with 1. */
void child_check(bool holds, const char *what, const char *file, int line);
#define CHILD_CHECK(condition)                                                 \
  child_check((condition), #condition, __FILE__, __LINE__)

/* ---- Setup and teardown ---------------------------------------------------
 */

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_end)

int test_setup(void **state);
int test_end(void **state);

/* Descriptors that are open in this process. */
int count_fds(void);
/* 1 if this process has any child, ended or not; it is not reaped. */
int has_children(void);
/* Children that have ended and are not reaped. */
int count_zombies(void);

/* The program ends with a message on stderr if the test takes longer than this
 * from now on.  Every test starts with 300 seconds, more if slow(), although it
 * takes a few on an idle machine: a test must not fail because the machine is
 * busy.  Shorter bounds, such as those of wait_fd(), are so much longer than
 * the usual time that only a fault reaches them. */
void deadline(unsigned seconds);

/* Skips the test.  tests/run prints the reason. */
void skip_because(const char *why);

/* fork(2) by the system call alone: no handler of pthread_atfork(3) is called.
 */
pid_t raw_fork(void);
/* Whether tests/machines/limits saw that limit of an emulator. */
bool is_limited_by(const char *limit);

/* Skips those that the file GIPC_TEST_SKIPS names, whose lines are NAME, a tab
 * and the reason. */
int run_group(const char *name, const struct CMUnitTest *tests, size_t count,
              CMFixtureFunction setup, CMFixtureFunction teardown);
#undef cmocka_run_group_tests
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests(tests, setup, teardown)                         \
  cmocka_run_group_tests_name(#tests, tests, setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)              \
  run_group(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

/* ---- Environment ----------------------------------------------------------
 */

/* Runs under valgrind or a sanitizer: smaller counts. */
bool slow(void);
/* all, or few when slow(). */
size_t many(size_t all, size_t few);
/* The memory of this process that is in RAM, in bytes. */
size_t resident(void);

/* ---- Waiting, without sleeping ---------------------------------------------
 */

/* poll(2) for POLLIN or POLLOUT; false if the timeout expires. */
bool wait_fd(int fd, short events, int milliseconds);
double now(void);

/* ---- Children -------------------------------------------------------------
 */

/* Forks; body's result is the exit code of the child. */
pid_t child_start(int (*body)(void *argument), void *argument);
/* Waits for its end and expects exit code 0. */
void child_join(pid_t pid);

/* ---- Bytes ----------------------------------------------------------------
 */

/* A generator with a seed (xorshift64*), the same on every machine. */
uint64_t random_next(uint64_t *seed);
/* Fills with bytes that depend on seed and place. */
void fill(void *data, size_t size, uint64_t seed);
bool filled(const void *data, size_t size, uint64_t seed);
/* FNV-1a, continued from hash; start with 0. */
uint64_t hash_bytes(uint64_t hash, const void *data, size_t size);

/* Transfers all bytes, and blocks; false on an error or the end. */
bool write_all(int fd, const void *data, size_t size);
bool read_all(int fd, void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
