/* The files to count: named or found, checked, and read in chunks. */
#ifndef DEMO_INPUT_H
#define DEMO_INPUT_H

#include <sys/stat.h>

#include "count.h"

enum { CHUNK_SIZE = 64 * 1024 };

typedef struct input_file {
  char *path;
  struct stat before;        /* as it was when the work began */
  size_t chunks;             /* at least 1, as an empty file is sent too */
  int left_out;              /* it changed or vanished: no more of it */
  tally total;               /* over all rounds */
  struct pass *spare_passes; /* of the job */
} input_file;

typedef struct input {
  input_file *files;
  size_t count;
  size_t left_out;
  uint64_t bytes;
  const input_file *open; /* the one that fd reads, or NULL */
  int fd;
} input;

/* Takes paths, or without any the licences of the system and the sources of
 * the project.  Returns 0, or -1 after it printed the error. */
int input_init(input *in, char *const paths[], size_t count);
void input_free(input *in);

/* How many bytes a chunk has. */
size_t input_chunk_size(const input_file *file, size_t index);

/* Reads one chunk.  Returns 0, or -1 if the file has changed: then it prints
 * that, and skips the file. */
int input_read(input *in, input_file *file, size_t index, void *buffer);

/* Skips the files that changed after they were read, too. */
void input_verify(input *in);

#endif
