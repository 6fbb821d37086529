/* The parts of enter.c. */
#ifndef GIPC_TESTS_ENTER_H
#define GIPC_TESTS_ENTER_H

#include <stdbool.h>

/* The world cannot be made here: errno says why. */
void cannot(const char *what);
void proven(bool holds, const char *what);

/* VALUES: the call, the error. */
void refuse_call(char **values);
/* VALUES: the largest process ID. */
void reuse_pids(char **values);
void hide_proc(char **values);
void keep_foreign_proc(char **values);

#endif
