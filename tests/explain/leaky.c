/* A C extension with two classic leaks, built by planted.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

static PyObject *keep(PyObject *self, PyObject *argument) {
    size_t size = PyLong_AsSize_t(argument);
    char *memory = malloc(size);
    if (memory == NULL)
        return PyErr_NoMemory();
    memset(memory, 1, size);
    Py_RETURN_NONE;
}

static PyObject *leak_reference(PyObject *self, PyObject *argument) {
    Py_INCREF(argument);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"keep", keep, METH_O, "Allocate and forget."},
    {"incref", leak_reference, METH_O, "Take a reference and forget it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "leaky", NULL, -1, methods};

PyMODINIT_FUNC PyInit_leaky(void) { return PyModule_Create(&module); }
