"""Raw rows of models with a transform, from arrays: the way of all requests that are not plain.

`raw_rows` looks texts up, `check_rows` says what the model does not take. A plain request does the same as it
is read (`cell/engines/form.pyx`).
"""

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport NAN
from libc.stdint cimport uint32_t

from cell.engines.transform cimport INFINITE_REFUSED, NOT_REFUSED, TOO_LARGE_REFUSED, code_of, refusal
from cell.engines.transform_layout cimport IS_TEXT, TransformView

import numpy as np

from croupier.errors import InvalidRequest

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    # Of an unknown category, which may be anything.
    _MOST_SHOWN = 40


cdef object raw_rows(const TransformView* view, tuple names, object inputs):
    """Float64, (n, R), of one array of numbers (n, R), or of arrays (n, 1) by the features' `names`.

    An element of a text feature is its text, or None for a missing one.

    Raises:
        ValueError: the arrays are others.
    """
    cdef uint32_t place, count = view.header.features
    cdef double[:, ::1] rows
    if len(inputs) == 1 and not view.bits[0] & IS_TEXT:
        (array,) = inputs.values()
        return np.require(array, np.float64, ("C_CONTIGUOUS", "ALIGNED"))
    if len(inputs) != count:
        raise ValueError(f"{len(inputs)} arrays for {count} features")
    raw = np.empty((len(_array_of(inputs, names, 0)), count))
    rows = raw
    for place in range(count):
        array = _array_of(inputs, names, place)
        if array.shape != (rows.shape[0], 1):
            raise ValueError("an array has another shape than the others")
        if view.bits[place] & IS_TEXT:
            _look_up(view, place, array.ravel().tolist(), rows)
        else:
            raw[:, place] = array.ravel()
    return raw


cdef object _array_of(object inputs, tuple names, uint32_t place):
    if len(inputs) == 1:
        (array,) = inputs.values()
    else:
        array = inputs.get(names[place])
    if array is None:
        raise ValueError("an array is missing")
    return array


cdef int _look_up(const TransformView* view, uint32_t place, list texts, double[:, ::1] rows) except -1:
    cdef Py_ssize_t i, size = 0
    cdef const char* text
    for i in range(len(texts)):
        if texts[i] is None:
            rows[i, place] = NAN
        elif not isinstance(texts[i], str):
            raise ValueError("an element of a text feature is no text")
        else:
            text = PyUnicode_AsUTF8AndSize(texts[i], &size)
            rows[i, place] = code_of(view, place, text, size)
    return 0


cdef int check_rows(
    const TransformView* view, tuple names, const double[:, ::1] rows, object inputs, str where, bint bounded
) except -1:
    """Refuse what the model does not take: if it is `bounded`, also columns beyond float32, else beyond
    float64.

    Raises:
        InvalidRequest: naming the feature, and the row if there are several; `where` is where the caller
        wrote it.
    """
    cdef Py_ssize_t i
    cdef uint32_t feature = 0
    cdef int why
    for i in range(rows.shape[0]):
        why = refusal(view, &rows[i, 0], FLT_MAX if bounded else DBL_MAX, &feature)
        if why != NOT_REFUSED:
            name = names[feature] if feature < len(names) else str(feature)
            text = _array_of(inputs, names, feature).ravel()[i] if view.bits[feature] & IS_TEXT else None
            what = _told(why, rows[i, feature], text)
            row = f" in row {i}" if rows.shape[0] > 1 else ""
            raise InvalidRequest(f"feature {name!r} {what}{row}", field=f"{where}.{name}")
    return 0


cdef str _told(int why, double value, object text):
    if why == INFINITE_REFUSED:
        return "is infinite, which this model does not take"
    if why == TOO_LARGE_REFUSED:
        return f"is too large for the steps before this model: {value:g}"
    if value != value:
        return "is missing, which this model does not take"
    if text is None:
        return f"has the unknown category {value:g}"
    return f"has the unknown category {text[:_MOST_SHOWN]!r}{'…' if len(text) > _MOST_SHOWN else ''}"
