/* The work: every file cut in chunks, round after round; what was lost is
 * given out again, and each chunk counts once. */
#include "job.h"
#include "basics.h"

void chunk_list_push(chunk_list *list, chunk *c) {
  c->next = NULL;
  if (list->first == NULL)
    list->first = c;
  else
    list->last->next = c;
  list->last = c;
  list->count++;
}

chunk *chunk_list_pop(chunk_list *list) {
  chunk *c = list->first;

  if (c != NULL) {
    list->first = c->next;
    list->count--;
  }
  return c;
}

size_t chunk_size(const chunk *c) {
  return input_chunk_size(c->pass->file, c->index);
}

void job_init(job *j, input *in) {
  *j = (job){.in = in, .again = 1, .rounds = 1};
}

void job_free(job *j) {
  chunk *c;
  pass *p;
  size_t i;

  while ((c = chunk_list_pop(&j->spare)) != NULL)
    free(c);
  for (i = 0; i < j->in->count; i++) {
    while ((p = j->in->files[i].spare_passes) != NULL) {
      j->in->files[i].spare_passes = p->next;
      free(p);
    }
  }
}

/* One round ends where the next begins, without waiting for its tallies, so
 * that a small input keeps the workers busy too. */
static input_file *next_file(job *j) {
  input_file *file;

  while (j->in->left_out < j->in->count) {
    if (j->next_file == j->in->count) {
      if (!j->again)
        return NULL;
      j->next_file = 0;
      j->rounds++;
    }
    file = &j->in->files[j->next_file++];
    if (!file->left_out)
      return file;
  }
  return NULL;
}

/* All passes of a file have the same size, so an old one does. */
static pass *new_pass(input_file *file) {
  pass *p = file->spare_passes;

  if (p != NULL)
    file->spare_passes = p->next;
  else
    p = new_memory(sizeof(*p) + file->chunks * sizeof(*p->tallies));
  p->file = file;
  p->cut = 0;
  p->missing = file->chunks;
  return p;
}

static void end_pass(pass *p) {
  input_file *file = p->file;
  tally sum = p->tallies[0];
  size_t i;

  for (i = 1; i < file->chunks; i++)
    tally_append(&sum, &p->tallies[i]);
  if (!file->left_out)
    tally_add(&file->total, &sum);
  p->next = file->spare_passes;
  file->spare_passes = p;
}

/* count chunks of p are settled, or will never be made. */
static void settle(pass *p, size_t count) {
  p->missing -= count;
  if (p->missing == 0)
    end_pass(p);
}

static void stop_cutting(job *j) {
  pass *p = j->cutting;

  j->cutting = NULL;
  settle(p, p->file->chunks - p->cut);
}

static chunk *cut(job *j) {
  input_file *file;
  pass *p;
  chunk *c;

  if (j->cutting != NULL && j->cutting->file->left_out)
    stop_cutting(j);
  if (j->cutting == NULL) {
    if ((file = next_file(j)) == NULL)
      return NULL;
    j->cutting = new_pass(file);
  }
  p = j->cutting;
  if ((c = chunk_list_pop(&j->spare)) == NULL)
    c = new_memory(sizeof(*c));
  c->pass = p;
  c->index = p->cut++;
  if (p->cut == p->file->chunks)
    j->cutting = NULL;
  j->unfinished++;
  return c;
}

chunk *job_take(job *j) {
  chunk *c = chunk_list_pop(&j->lost);

  return c != NULL ? c : cut(j);
}

void job_done(job *j, chunk *c, const tally *t) {
  c->pass->tallies[c->index] = *t;
  settle(c->pass, 1);
  chunk_list_push(&j->spare, c);
  j->unfinished--;
}

void job_lose(job *j, chunk *c) { chunk_list_push(&j->lost, c); }

void job_drop(job *j, chunk *c) {
  static const tally nothing;

  job_done(j, c, &nothing);
}

int job_is_finished(const job *j) {
  if (j->unfinished > 0 || j->cutting != NULL)
    return 0;
  return j->in->left_out == j->in->count ||
         (j->next_file == j->in->count && !j->again);
}
