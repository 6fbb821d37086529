/* What acts by itself in a hostile world: a thread that reaps every child, a
 * timer that interrupts every wait, threads that use malloc and locks. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void start_thread(void *(*body)(void *)) {
  pthread_t thread;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  if (pthread_create(&thread, NULL, body, NULL) != 0)
    abort();
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_detach(thread);
}

/* ---- A thread that reaps every child ------------------------------------ */

enum { most_stolen = 4096 };
static struct stolen {
  pid_t pid;
  int status;
  bool is_known;
} stolen[most_stolen];
static size_t next_stolen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t reaper_pid;

static struct stolen *find_stolen(pid_t pid) {
  for (size_t i = 0; i < most_stolen; i++)
    if (stolen[i].pid == pid)
      return &stolen[i];
  return NULL;
}

/* In the table before it is reaped, so that who finds no child finds it. */
static void reap_one(pid_t pid) {
  int status, result;
  pthread_mutex_lock(&lock);
  struct stolen *entry = find_stolen(pid);
  if (entry == NULL)
    entry = &stolen[next_stolen++ % most_stolen];
  *entry = (struct stolen){pid, 0, false};
  pthread_mutex_unlock(&lock);
  result = NEXT(waitpid)(pid, &status, WNOHANG);
  pthread_mutex_lock(&lock);
  if (result == pid) {
    entry->status = status;
    entry->is_known = true;
    atomic_fetch_add(&acted, 1);
  } else
    entry->pid = 0; /* another one was faster */
  pthread_mutex_unlock(&lock);
}

static void *reap(void *argument) {
  const struct timespec moment = {0, 100000};
  for (;;) {
    siginfo_t info = {.si_pid = 0};
    if (NEXT(waitid)(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0)
      reap_one(info.si_pid);
    else
      nanosleep(&moment, NULL);
  }
  return NULL;
}

bool stolen_status(int pid, int *status) {
  bool is_there = true, is_known = false;
  while (getpid() == reaper_pid && is_there && !is_known) {
    pthread_mutex_lock(&lock);
    struct stolen *entry = find_stolen(pid);
    is_there = entry != NULL;
    is_known = is_there && entry->is_known;
    if (is_known) {
      if (status != NULL)
        *status = entry->status;
      entry->pid = 0;
    }
    pthread_mutex_unlock(&lock);
    sched_yield();
  }
  return is_known;
}

/* It shows that it reaps before the program begins. */
void start_reaper(void) {
  int status;
  reaper_pid = getpid();
  start_thread(reap);
  pid_t pid = fork();
  if (pid == 0)
    _exit(3);
  while (atomic_load(&acted) == 0)
    sched_yield();
  if (NEXT(waitpid)(pid, &status, 0) != -1 || !stolen_status(pid, &status))
    abort();
}

/* ---- A timer that interrupts every wait --------------------------------- */

static void on_signal(int number) { atomic_fetch_add(&acted, 1); }

static void start_timer(void) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
  struct itimerspec often = {{0, 500000}, {0, 500000}};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
      timer_settime(timer, 0, &often, NULL) < 0)
    abort();
}

/* A signal makes the kernel begin a fork anew, which would never end. */
static sigset_t mask_of_fork;
static void before_fork(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask_of_fork);
}
static void after_fork(void) {
  pthread_sigmask(SIG_SETMASK, &mask_of_fork, NULL);
}
static void in_child(void) {
  start_timer(); /* a forked process has none */
  after_fork();
}

/* SIGURG does nothing in a child whose handlers were reset. */
void start_storm(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal; /* without SA_RESTART */
  sigaction(SIGURG, &action, NULL);
  pthread_atfork(before_fork, after_fork, in_child);
  start_timer();
  while (atomic_load(&acted) == 0)
    if (usleep(1000000) == 0)
      abort(); /* no signal: this is no storm */
}

/* ---- Threads that use malloc and locks ---------------------------------- */

static int count_objects(struct dl_phdr_info *info, size_t size, void *user) {
  ++*(int *)user;
  return 0;
}

static void *hammer(void *argument) {
  void *blocks[16] = {NULL};
  for (size_t i = 0;; i++) {
    int objects = 0;
    void **block = &blocks[i % 16];
    free(*block);
    *block = malloc(i * 2654435761u % 5000);
    flockfile(stdout);
    funlockfile(stdout);
    if (i % 16 == 0)
      dl_iterate_phdr(count_objects, &objects);
    atomic_fetch_add(&acted, 1);
    if (i % 64 == 0)
      sched_yield();
  }
  return NULL;
}

void start_hammers(void) {
  for (int i = 0; i < 3; i++)
    start_thread(hammer);
  while (atomic_load(&acted) == 0)
    sched_yield();
}
