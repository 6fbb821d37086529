/* Descriptors that a wait makes: timers, and sets of others (epoll), of which any loop
 * can wait for one.  native.i includes this file. */
%{
/* A descriptor that an object owns, as a wait that is interrupted leaves it to the
 * collector. */
typedef struct descriptor {
  int fd; /* -1: closed */
  pid_t owner; /* in a child the number may be that of another file */
} descriptor;

static void close_descriptor(descriptor *d) {
  if (d != NULL && d->fd >= 0 && d->owner == getpid())
    close(d->fd);
  if (d != NULL)
    d->fd = -1;
}

static int descriptor_new(int fd, descriptor **d) {
  if (fd < 0)
    return -errno;
  descriptor *made = malloc(sizeof(*made));
  if (made == NULL) {
    close(fd);
    return -ENOMEM;
  }
  made->fd = fd;
  made->owner = getpid();
  *d = made;
  return 0;
}

static int fd_of(const descriptor *d) {
  return d == NULL || d->fd < 0 ? -EBADF : d->fd;
}

/* Makes a timer readable once, that many seconds from now. */
static int timer_set(descriptor *d, double seconds) {
  struct itimerspec when = {{0, 0}, {0, 1}};
  if (seconds > 1e9)
    seconds = 1e9;
  if (seconds > 0) {
    when.it_value.tv_sec = (time_t)seconds;
    when.it_value.tv_nsec =
        (long)((seconds - (double)when.it_value.tv_sec) * 1e9) + 1;
  }
  return timerfd_settime(fd_of(d), 0, &when, NULL) < 0 ? -errno : 0;
}

static int timer_new(descriptor **d) {
  return descriptor_new(
      timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), d);
}

/* Readable when one that was added is ready, so that any loop can wait for all. */
static int epoll_new(descriptor **d) {
  return descriptor_new(epoll_create1(EPOLL_CLOEXEC), d);
}

static int epoll_add(descriptor *d, int fd, int directions) {
  struct epoll_event event = {0};
  event.events = (directions & GIPC_READ ? EPOLLIN : 0) |
                 (directions & GIPC_WRITE ? EPOLLOUT : 0);
  if (epoll_ctl(fd_of(d), EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST)
    return -errno;
  return 0;
}
%}
%rename(Descriptor) descriptor;
typedef struct descriptor {} descriptor;
%extend descriptor { ~descriptor() { close_descriptor($self); free($self); } }
OUTPUT(descriptor, d, SWIG_POINTER_OWN)
OUTPUTS_OF(timer_new)
OUTPUTS_OF(epoll_new)
void close_descriptor(descriptor *d);
int fd_of(const descriptor *d);
int timer_new(descriptor **d);
int timer_set(descriptor *d, double seconds);
int epoll_new(descriptor **d);
int epoll_add(descriptor *d, int fd, int directions);
