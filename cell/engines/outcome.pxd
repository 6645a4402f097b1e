"""What becomes of a row's sums: the transformations that artifacts name by code, shared by the engines.

The codes and formulas are treelite's post-processors and scikit-learn's; docs/artifacts.md lists them.
Sums come as float64 and are overwritten.
"""

from libc.math cimport copysign, exp, exp2, fabs, log1p

cdef enum:
    IDENTITY = 0
    SIGMOID = 1
    SOFTMAX = 2
    EXPONENTIAL = 3
    SIGNED_SQUARE = 4
    HINGE = 5
    LOG_ONE_PLUS_EXP = 6
    STANDARD_RATIO = 7
    NORMALIZED_SIGMOID = 8
    MODIFIED_HUBER = 9
    TRANSFORMATIONS = 10


cdef inline double _sigmoid(double margin) noexcept nogil:
    return 1.0 / (1.0 + exp(-margin))


cdef inline void _normalize(double* sums, Py_ssize_t count) noexcept nogil:
    """Shares of one; equal ones where nothing is above 0, as scikit-learn has it."""
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(count):
        total += sums[i]
    for i in range(count):
        sums[i] = sums[i] / total if total > 0.0 else 1.0 / count


cdef inline void _softmax(double* sums, Py_ssize_t count) noexcept nogil:
    cdef double highest = sums[0]
    cdef Py_ssize_t i
    for i in range(1, count):
        if sums[i] > highest:
            highest = sums[i]
    for i in range(count):
        sums[i] = exp(sums[i] - highest)
    _normalize(sums, count)


cdef inline double _clipped(double margin) noexcept nogil:
    """Held within -1 and 1."""
    return copysign(1.0, margin) if fabs(margin) > 1.0 else margin


cdef inline double _one(int code, double parameter, double margin) noexcept nogil:
    """A transformation of each sum alone."""
    if code == SIGMOID:
        return _sigmoid(parameter * margin)
    if code == EXPONENTIAL:
        return exp(margin)
    if code == SIGNED_SQUARE:
        return copysign(margin * margin, margin)
    if code == HINGE:
        return 1.0 if margin > 0.0 else 0.0
    if code == LOG_ONE_PLUS_EXP:
        return log1p(exp(margin))
    if code == STANDARD_RATIO:
        return exp2(-margin / parameter)
    if code == MODIFIED_HUBER:
        return (_clipped(margin) + 1.0) / 2.0
    return margin


cdef inline Py_ssize_t label_of(const double* sums, Py_ssize_t count) noexcept nogil:
    """The class: of one sum the second if it is above 0, else the first of the greatest.

    Before the transformation, which may make sums equal that were not.
    """
    cdef Py_ssize_t best = 0, i
    if count == 1:
        return sums[0] > 0.0
    for i in range(1, count):
        if sums[i] > sums[best]:
            best = i
    return best


cdef inline void transform(
    int code, double parameter, bint is_pair, double* sums, Py_ssize_t count, float* out
) noexcept nogil:
    """The outputs of one row: as many as sums; of a pair, which has one sum, `1 - p` and `p`."""
    cdef Py_ssize_t i
    if code == SOFTMAX:
        _softmax(sums, count)
    elif code == NORMALIZED_SIGMOID:
        for i in range(count):
            sums[i] = _sigmoid(sums[i])
        _normalize(sums, count)
    elif code == MODIFIED_HUBER and not is_pair:
        for i in range(count):
            sums[i] = _one(code, parameter, sums[i])
        _normalize(sums, count)
    elif code != IDENTITY:
        for i in range(count):
            sums[i] = _one(code, parameter, sums[i])
    if is_pair:
        out[0] = <float>(1.0 - sums[0])
        out[1] = <float>sums[0]
    else:
        for i in range(count):
            out[i] = <float>sums[i]
