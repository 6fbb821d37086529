/* Used by the tests of trees: makes them in each of the ways. */
#ifndef GIPC_TESTS_SUPPORT_TREE_H
#define GIPC_TESTS_SUPPORT_TREE_H

#include "support_process.h"

/* A root, and a process that escaped from its session and ignores SIGTERM.  All
 * of them hold the writing end of a pipe: its end comes when none is left. */
struct tree {
  gipc_process *p;
  int alive;
};

/* Does what tests/programs/child_tree.c does; argument is -1, or the code. */
int escape(struct ev_loop *fresh, void *argument);
/* Options for a tree whose stdout is a pipe. */
gipc_options *tree_options(void);
/* exit_code -1: the root waits. */
struct tree start_tree(bool program, int exit_code, const gipc_options *o);
/* Waits until none of it is left, and closes the pipe.  What escaped from a
 * process group is ended here. */
void tree_is_gone(struct tree *it);
/* This process becomes the parent of what its descendants leave. */
void adopt_what_is_left(void);
/* Kills all children of this process, and their children, and waits. */
void end_children(void);
/* How many cgroups this process (or its forks) has made that are left. */
int count_cgroups(pid_t maker);
/* Removes the empty ones of them, as one does who takes them for abandoned
 * ones. Returns how many. */
int remove_cgroups(pid_t maker);

/* The way in which one that ends at once was made. */
int way_of_a_tree(void);
/* For the rest of this process, no directory can be made. */
bool fail_mkdir(int error);
/* For the rest of this process, trees are made in this way, a gipc_tree.  False
 * where that cannot be. */
bool only_way(int way);
/* The way that is tested. */
extern int tested_way;
/* Runs body(argument) in a fork for each of the ways that there are here. */
void in_each_way(int (*body)(void *argument), void *argument);

#endif
