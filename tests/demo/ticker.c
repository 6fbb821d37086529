/* A timer of 100 Hz that measures whether its loop ever blocks. */
#include "ticker.h"
#include "basics.h"

static void tick(struct ev_loop *loop, ev_timer *timer, int revents) {
  ticker *t = timer->data;
  double time = now(), late = time - t->due;

  (void)loop;
  (void)revents;
  if (late > t->worst)
    t->worst = late;
  /* Like libev, do not make up for ticks that were missed. */
  t->due = late > TICK_SECONDS ? time + TICK_SECONDS : t->due + TICK_SECONDS;
  t->ticks++;
  t->on_tick(t->user);
}

void ticker_start(ticker *t, struct ev_loop *loop, void (*on_tick)(void *),
                  void *user) {
  *t = (ticker){.on_tick = on_tick, .user = user};
  ev_timer_init(&t->timer, tick, TICK_SECONDS, TICK_SECONDS);
  t->timer.data = t;
  ev_now_update(loop); /* timers start from the time that the loop knows */
  ev_timer_start(loop, &t->timer);
  t->due = now() + TICK_SECONDS;
}

void ticker_stop(ticker *t, struct ev_loop *loop) {
  ev_timer_stop(loop, &t->timer);
}
