/* Messages whose number is their text, and that of their descriptors. */
#ifndef GIPC_TESTS_SUPPORT_FDS_H
#define GIPC_TESTS_SUPPORT_FDS_H

#include "support_process.h"

/* A file that has this number as its text. */
int make_fd(uint32_t number);
/* Whether fd is that file, and close-on-exec. */
bool is_fd(int fd, uint32_t number);

/* A message that begins with its number, followed by more bytes, with count
 * descriptors of that number, which are closed here right after the put. */
int put_fds(gipc_handle *w, uint32_t number, size_t size, size_t count,
            double timeout);
/* The same by the step tier. */
int try_put_fds(gipc_handle *w, uint32_t number, size_t size, size_t count);
/* Checks a message of put_fds() that was got, takes its descriptors and closes
 * them. */
void expect_fds(gipc_handle *r, const void *data, size_t size, uint32_t number,
                size_t expected, size_t count);
/* Gets it, too. */
void get_fds(gipc_handle *r, uint32_t number, size_t size, size_t count);

/* The end of a pipe that has no other end when all copies of fd are closed. */
int make_watched(int *fd);
bool is_gone(int watched);

/* Skips the test where messages have no descriptors. */
void need_descriptors(void);

/* Sends bytes and descriptors as a peer does that is no handle. */
void send_raw(int socket, const void *bytes, size_t size, const int *fds,
              size_t count);

#endif
