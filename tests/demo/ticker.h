/* A timer of 100 Hz that measures whether its loop ever blocks. */
#ifndef DEMO_TICKER_H
#define DEMO_TICKER_H

#include <ev.h>
#include <stdint.h>

#define TICK_SECONDS 0.01

typedef struct ticker {
  ev_timer timer;
  double due;   /* when the next tick should come */
  double worst; /* the greatest lateness, in seconds */
  uint64_t ticks;
  void (*on_tick)(void *user);
  void *user;
} ticker;

void ticker_start(ticker *t, struct ev_loop *loop, void (*on_tick)(void *),
                  void *user);
void ticker_stop(ticker *t, struct ev_loop *loop);

#endif
