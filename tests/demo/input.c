/* The files to count: named or found, checked, and read in chunks. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "basics.h"
#include "input.h"

static const char *const default_patterns[] = {
    "/usr/share/common-licenses/*", "include/*.h", "src/*.h", "src/*.cc"};

/* O_NONBLOCK: the open of a FIFO would wait for its writer. */
static int open_quietly(const char *path) {
  return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* The reason why the file cannot be counted, or NULL. */
static const char *look_at(input_file *file) {
  const char *wrong = NULL;
  int fd = open_quietly(file->path);

  if (fd < 0)
    return strerror(errno);
  if (fstat(fd, &file->before) < 0)
    wrong = strerror(errno);
  else if (S_ISDIR(file->before.st_mode))
    wrong = strerror(EISDIR);
  else if (!S_ISREG(file->before.st_mode))
    wrong = "Not a regular file";
  close(fd);
  return wrong;
}

/* Returns 0, or -1 after it printed the error. */
static int add(input *in, const char *path) {
  input_file *file = &in->files[in->count++];
  const char *wrong;
  uint64_t size;

  memset(file, 0, sizeof(*file));
  if ((file->path = strdup(path)) == NULL)
    errx(EXIT_DIFFERENT, "out of memory");
  if ((wrong = look_at(file)) != NULL) {
    warnx("%s: %s", path, wrong);
    return -1;
  }
  size = (uint64_t)file->before.st_size;
  if (size == 0)
    warnx("%s: empty, which counts as 0 0 0", path);
  file->chunks = size == 0 ? 1 : (size_t)((size + CHUNK_SIZE - 1) / CHUNK_SIZE);
  in->bytes += size;
  return 0;
}

static int add_all(input *in, char *const paths[], size_t count) {
  size_t i;
  int result = 0;

  in->files = new_memory((count + 1) * sizeof(*in->files));
  for (i = 0; i < count; i++)
    if (add(in, paths[i]) < 0)
      result = -1; /* continue, to report all errors */
  return result;
}

/* Directories among the matches are not an error. */
static size_t without_directories(char **paths, size_t count) {
  struct stat s;
  size_t i, kept = 0;
  char *path;

  for (i = 0; i < count; i++) {
    if (stat(paths[i], &s) < 0 || S_ISDIR(s.st_mode))
      continue;
    path = paths[kept]; /* a swap, as globfree() frees them all */
    paths[kept++] = paths[i];
    paths[i] = path;
  }
  return kept;
}

static int add_defaults(input *in) {
  size_t i, count;
  glob_t found;
  int result;

  memset(&found, 0, sizeof(found));
  for (i = 0; i < sizeof(default_patterns) / sizeof(*default_patterns); i++)
    (void)glob(default_patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &found);
  count = without_directories(found.gl_pathv, found.gl_pathc);
  result = add_all(in, found.gl_pathv, count);
  globfree(&found);
  if (count == 0)
    warnx("no files: found neither licence texts nor sources; pass some");
  return count > 0 ? result : -1;
}

int input_init(input *in, char *const paths[], size_t count) {
  memset(in, 0, sizeof(*in));
  in->fd = -1;
  return count > 0 ? add_all(in, paths, count) : add_defaults(in);
}

void input_free(input *in) {
  size_t i;

  for (i = 0; i < in->count; i++)
    free(in->files[i].path);
  free(in->files);
  if (in->fd >= 0)
    close(in->fd);
}

size_t input_chunk_size(const input_file *file, size_t index) {
  uint64_t begin = (uint64_t)index * CHUNK_SIZE;
  uint64_t remaining = (uint64_t)file->before.st_size - begin;

  return remaining < CHUNK_SIZE ? (size_t)remaining : CHUNK_SIZE;
}

static int leave_out(input *in, input_file *file, const char *why) {
  if (!file->left_out) {
    warnx("%s: %s; it is left out", file->path, why);
    file->left_out = 1;
    in->left_out++;
  }
  return -1;
}

static int is_as_before(const input_file *file, const struct stat *s) {
  const struct stat *b = &file->before;

  return s->st_dev == b->st_dev && s->st_ino == b->st_ino &&
         s->st_size == b->st_size && s->st_mtim.tv_sec == b->st_mtim.tv_sec &&
         s->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Makes in->fd read file. */
static int turn_to(input *in, input_file *file) {
  struct stat s;

  if (in->open == file)
    return 0;
  if (in->fd >= 0)
    close(in->fd);
  in->open = NULL;
  if ((in->fd = open_quietly(file->path)) < 0)
    return leave_out(in, file, strerror(errno));
  if (fstat(in->fd, &s) < 0 || !is_as_before(file, &s))
    return leave_out(in, file, "changed while it was counted");
  in->open = file;
  return 0;
}

int input_read(input *in, input_file *file, size_t index, void *buffer) {
  size_t size = input_chunk_size(file, index), done = 0;
  off_t begin = (off_t)index * CHUNK_SIZE;
  ssize_t n;

  if (file->left_out || turn_to(in, file) < 0)
    return -1;
  while (done < size) {
    n = pread(in->fd, (char *)buffer + done, size - done, begin + (off_t)done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return leave_out(in, file, strerror(errno));
    if (n == 0)
      return leave_out(in, file, "became shorter while it was counted");
    done += (size_t)n;
  }
  return 0;
}

void input_verify(input *in) {
  input_file *file;
  struct stat s;

  for (file = in->files; file < in->files + in->count; file++) {
    if (stat(file->path, &s) < 0)
      leave_out(in, file, strerror(errno));
    else if (!is_as_before(file, &s))
      leave_out(in, file, "changed while it was counted");
  }
}
