/* The module object of gipc._native.
 *
 * SWIG's module exists once in a process, with its types.  Each import, after
 * one that was undone and in another interpreter, has a module of its own with
 * copies of SWIG's functions, so that a function knows whose errors to raise.
 * Before SWIG 4.4 the generated function makes a module, since then a
 * definition of one.  Its types are static ones: as to heap types, see lock.i. */
%begin %{
#define SWIG_NO_HEAPTYPES /* for SWIG from 4.4 on */
%}
%{
#undef SWIG_init
#define SWIG_init generated_init
#undef SWIGEXPORT
#define SWIGEXPORT static
static PyObject *generated_init(void);

static PyObject *generated; /* kept until the process ends */

static PyObject *generate(PyObject *module) {
  PyObject *made = generated_init();
  if (made == NULL || PyModule_Check(made))
    return made;
  PyModuleDef *definition = (PyModuleDef *)made;
  PyObject *spec = PyObject_GetAttrString(module, "__spec__");
  if (spec == NULL)
    return NULL;
  made = PyModule_FromDefAndSpec(definition, spec);
  Py_DECREF(spec);
  if (made != NULL && PyModule_ExecDef(made, definition) < 0)
    Py_CLEAR(made);
  return made;
}

static int fill_module(PyObject *module) {
  if (generated == NULL && (generated = generate(module)) == NULL)
    return -1;
  PyObject *own_name = PyModule_GetNameObject(module);
  if (own_name == NULL)
    return -1;
  int result = 0;
  PyObject *name, *value;
  Py_ssize_t position = 0;
  while (result == 0 && PyDict_Next(PyModule_GetDict(generated), &position,
                                    &name, &value)) {
    if (PyUnicode_READ_CHAR(name, 0) == '_')
      continue;
    if (PyCFunction_Check(value))
      value = PyCFunction_NewEx(((PyCFunctionObject *)value)->m_ml, module,
                                own_name);
    else
      Py_INCREF(value);
    result = value == NULL ? -1 : PyObject_SetAttr(module, name, value);
    Py_XDECREF(value);
  }
  Py_DECREF(own_name);
  return result;
}

PyMODINIT_FUNC PyInit__native(void) {
  static PyModuleDef_Slot slots[] = {
      {Py_mod_exec, fill_module},
#ifdef Py_mod_multiple_interpreters
      /* SWIG's types are shared: only with one lock for all. */
      {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
#ifdef Py_mod_gil
      {Py_mod_gil, Py_MOD_GIL_USED},
#endif
      {0, NULL}};
  static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "gipc._native", NULL,
                                   0, NULL, slots, NULL, NULL, NULL};
  return PyModuleDef_Init(&definition);
}
%}
