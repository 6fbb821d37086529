/* All handles and processes of the program, as records, which each language makes
 * the values of its `overview`.  gipc.i includes this file.
 */
%ignore gipc_each_handle;
%ignore gipc_each_process;
%rename("$ignore", regextarget=1) "^gipc_(handle|process)_(entry|state)$";
%rename("$ignore", regextarget=1) "^GIPC_(HANDLE|PROCESS)_(OPEN|ENDED|CLOSING|CLOSED|RUNNING|REAPED)$";
%{
/* One handle or process. */
typedef struct gipc_record {
  const char *kind; /* "handle" or "process" */
  gipc_handle_entry handle;
  gipc_process_entry process;
} gipc_record;

typedef struct gipc_records {
  size_t count, room;
  gipc_record *items;
} gipc_records;

static gipc_record *add_record(gipc_records *all, const char *kind) {
  if (all->count == all->room) {
    size_t room = all->room * 2 + 16;
    gipc_record *items = realloc(all->items, room * sizeof(*items));
    if (items == NULL)
      return NULL;
    all->items = items;
    all->room = room;
  }
  gipc_record *added = &all->items[all->count++];
  memset(added, 0, sizeof(*added));
  added->kind = kind;
  return added;
}

static int add_handle_record(const gipc_handle_entry *entry, void *user) {
  gipc_record *added = add_record(user, "handle");
  if (added == NULL)
    return -ENOMEM;
  added->handle = *entry;
  return 0;
}

static int add_process_record(const gipc_process_entry *entry, void *user) {
  gipc_record *added = add_record(user, "process");
  if (added == NULL)
    return -ENOMEM;
  added->process = *entry;
  added->process.name = strdup(entry->name);
  return added->process.name ? 0 : -ENOMEM;
}

static void gipc_records_free(gipc_records *all) {
  for (size_t i = 0; i < all->count; ++i)
    free((char *)all->items[i].process.name);
  free(all->items);
  free(all);
}

static int records_new(gipc_records **records) {
  gipc_records *all = calloc(1, sizeof(*all));
  int result = all ? gipc_each_handle(add_handle_record, all) : -ENOMEM;
  if (result == 0)
    result = gipc_each_process(add_process_record, all);
  if (result == 0)
    *records = all;
  else if (all)
    gipc_records_free(all);
  return result;
}

/* Of a handle a process has no value, and the other way round. */
static int is_handle(const gipc_record *r) { return r->kind[0] == 'h'; }

static const char *word_of_state(const gipc_record *r) {
  static const char *const handles[] = {"", "open", "ended", "closing", "closed"};
  static const char *const processes[] = {"", "running", "ended", "reaped"};
  return is_handle(r) ? handles[r->handle.state] : processes[r->process.state];
}

static const char *word_of_transport(int transport) {
  static const char *const words[] = {NULL, "plain", "ring", "socket", "network", "pipe"};
  return words[transport];
}
%}
OBJECT(record, Record)
OBJECT(records, Records)
%extend gipc_records { ~gipc_records() { gipc_records_free($self); } }
OUTPUT(gipc_records, records, SWIG_POINTER_OWN)
OUTPUTS_OF(records_new)
int records_new(gipc_records **records);
%inline %{
/* Valid as long as records; NULL beyond the last one. */
static gipc_record *records_at(const gipc_records *records, size_t index) {
  return records && index < records->count ? &records->items[index] : NULL;
}

/* A value by its name; NULL: not of this kind, or none. */
static const char *record_word(const gipc_record *r, const char *name) {
  return strcmp(name, "kind") == 0    ? r->kind
         : strcmp(name, "state") == 0 ? word_of_state(r)
         : strcmp(name, "name") == 0  ? r->process.name
         : strcmp(name, "transport_in") == 0
             ? word_of_transport(r->handle.transport_in)
         : strcmp(name, "transport_out") == 0
             ? word_of_transport(r->handle.transport_out)
             : NULL;
}

/* As a double, which counts exactly to 2^53; < 0: none. */
static double record_number(const gipc_record *r, const char *name) {
#define VALUE(WORD, FIELD) if (strcmp(name, WORD) == 0) return (double)(FIELD)
  VALUE("id", is_handle(r) ? r->handle.id : r->process.id);
  VALUE("age", is_handle(r) ? r->handle.age : r->process.age);
  VALUE("on_loop", is_handle(r) ? r->handle.on_loop : r->process.on_loop);
  if (is_handle(r)) {
    VALUE("pair", r->handle.pair);
    VALUE("directions", r->handle.directions);
    VALUE("busy", r->handle.busy);
    VALUE("idle", r->handle.idle);
    VALUE("read_fd", r->handle.read_fd);
    VALUE("write_fd", r->handle.write_fd);
    VALUE("messages_in", r->handle.messages_in);
    VALUE("messages_out", r->handle.messages_out);
    VALUE("bytes_in", r->handle.bytes_in);
    VALUE("bytes_out", r->handle.bytes_out);
    VALUE("queued", r->handle.queued);
    VALUE("unread", r->handle.unread);
  } else {
    VALUE("pid", r->process.pid);
    VALUE("signal", r->process.state == GIPC_PROCESS_REAPED ? r->process.signal : -1);
    VALUE("code", r->process.code);
  }
#undef VALUE
  return -1;
}
%}
