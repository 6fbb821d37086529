/* Mapped: memory of another process, as a buffer. */
%{
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef struct {
  PyObject_HEAD
  void *address;
  Py_ssize_t size;
  int is_readonly;
} Mapped;

/* Whether the memory, and what is in it, stays as it is: a peer that shrinks it
 * or makes a hole would end this process by SIGBUS, as would one without memory
 * behind all pages. */
static int is_sealed(int fd, uint64_t end) {
#ifdef F_GET_SEALS
  enum { needed = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };
  struct stat info;
  int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & needed) == needed && fstat(fd, &info) == 0 &&
         (uint64_t)info.st_size >= end &&
         (uint64_t)info.st_blocks * 512 >= (uint64_t)info.st_size;
#else
  (void)fd;
  (void)end;
  return 0;
#endif
}

/* Mapped(fd, offset, size, is_readonly): a private mapping, so what is written
 * to it stays in this process.  ValueError: the descriptor is not one of sealed
 * memory with these bytes. */
static PyObject *mapped_new(PyTypeObject *type, PyObject *arguments,
                            PyObject *names) {
  int fd, is_readonly;
  unsigned long long offset, size;
  (void)names;
  if (!PyArg_ParseTuple(arguments, "iKKp", &fd, &offset, &size, &is_readonly))
    return NULL;
  if (size == 0 || size > PY_SSIZE_T_MAX || offset > INT64_MAX - size ||
      !is_sealed(fd, offset + size)) {
    PyErr_SetString(PyExc_ValueError, "not sealed memory of this size");
    return NULL;
  }
  void *address =
      mmap(NULL, (size_t)size, is_readonly ? PROT_READ : PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_NORESERVE, fd, (off_t)offset);
  if (address == MAP_FAILED)
    return PyErr_SetFromErrno(errno == EINVAL ? PyExc_ValueError
                                              : PyExc_OSError);
  Mapped *self = (Mapped *)type->tp_alloc(type, 0);
  if (self == NULL) {
    munmap(address, (size_t)size);
    return NULL;
  }
  self->address = address;
  self->size = (Py_ssize_t)size;
  self->is_readonly = is_readonly;
  return (PyObject *)self;
}

static void mapped_dealloc(PyObject *self) {
  Mapped *mapped = (Mapped *)self;
  munmap(mapped->address, (size_t)mapped->size);
  free_object(self);
}

static int mapped_getbuffer(PyObject *self, Py_buffer *view, int flags) {
  Mapped *mapped = (Mapped *)self;
  return PyBuffer_FillInfo(view, self, mapped->address, mapped->size,
                           mapped->is_readonly, flags);
}

static PyType_Slot mapped_slots[] = {
    {Py_tp_new, (void *)mapped_new},
    {Py_tp_dealloc, (void *)mapped_dealloc},
    {Py_bf_getbuffer, (void *)mapped_getbuffer},
    {0, NULL}};
static PyType_Spec memory_types[] = {
    {"gipc._native.Mapped", sizeof(Mapped), 0, SHARED_TYPE, mapped_slots}};
%}
