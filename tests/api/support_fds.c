#include "support_fds.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

int make_fd(uint32_t number) {
  int fd = memfd_create("gipc test", MFD_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_IS(write(fd, &number, sizeof number), sizeof number);
  return fd;
}

bool is_fd(int fd, uint32_t number) {
  uint32_t got;
  return pread(fd, &got, sizeof got, 0) == sizeof got && got == number &&
         fcntl(fd, F_GETFD) == FD_CLOEXEC && fd > 2;
}

static unsigned char *make_message(uint32_t number, size_t size) {
  unsigned char *message = malloc(size);
  CHECK(message != NULL && size >= sizeof number);
  fill(message, size, number);
  memcpy(message, &number, sizeof number);
  return message;
}

static int put(gipc_handle *w, uint32_t number, size_t size, size_t count,
               const double *timeout) {
  int fds[GIPC_MOST_FDS];
  unsigned char *message = make_message(number, size);
  for (size_t i = 0; i < count; i++)
    fds[i] = i == 0 ? make_fd(number) : fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
  int result = timeout != NULL
                   ? gipc_put_with(w, message, size, fds, count, *timeout)
                   : gipc_try_put_with(w, message, size, fds, count);
  for (size_t i = 0; i < count; i++)
    close(fds[i]);
  free(message);
  return result;
}

int put_fds(gipc_handle *w, uint32_t number, size_t size, size_t count,
            double timeout) {
  return put(w, number, size, count, &timeout);
}

int try_put_fds(gipc_handle *w, uint32_t number, size_t size, size_t count) {
  return put(w, number, size, count, NULL);
}

void expect_fds(gipc_handle *r, const void *data, size_t size, uint32_t number,
                size_t expected, size_t count) {
  int fds[GIPC_MOST_FDS];
  unsigned char *message = make_message(number, expected);
  CHECK_IS(size, expected);
  CHECK(memcmp(data, message, size) == 0);
  free(message);
  CHECK_IS(gipc_take_fds(r, fds, GIPC_MOST_FDS), count);
  for (size_t i = 0; i < count; i++) {
    CHECK(is_fd(fds[i], number));
    close(fds[i]);
  }
}

void get_fds(gipc_handle *r, uint32_t number, size_t size, size_t count) {
  const void *data;
  size_t got;
  CHECK_OK(gipc_get(r, 20, &data, &got));
  expect_fds(r, data, got, number, size, count);
}

int make_watched(int *fd) {
  int ends[2];
  CHECK_OK(pipe2(ends, O_CLOEXEC));
  *fd = ends[1];
  return ends[0];
}

bool is_gone(int watched) {
  struct pollfd one = {watched, POLLIN, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & POLLHUP) != 0;
}

void need_descriptors(void) {
  if (portable())
    skip_because("messages have descriptors on Linux only");
}

void send_raw(int socket, const void *bytes, size_t size, const int *fds,
              size_t count) {
  char control[CMSG_SPACE(GIPC_MOST_FDS * sizeof(int))] = {0};
  struct iovec part = {(void *)bytes, size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  CHECK_IS(sendmsg(socket, &message, MSG_NOSIGNAL), size);
}
