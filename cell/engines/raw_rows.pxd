"""Raw rows of models with a transform, from arrays; see raw_rows.pyx."""

from cell.engines.transform_layout cimport TransformView

cdef object raw_rows(const TransformView* view, tuple names, object inputs)
cdef int check_rows(
    const TransformView* view, tuple names, const double[:, ::1] rows, object inputs, str where, bint bounded
) except -1
