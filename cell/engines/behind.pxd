"""The check of what may lie behind an engine's arrays: a transform, which changes what the model takes."""

from cell.engines.kinds cimport Shape
from cell.engines.transform cimport check_block, row_cost
from cell.engines.transform_layout cimport BLOCK_ALIGNMENT, TransformView


cdef inline const char* check_behind(
    const unsigned char* data, Py_ssize_t end, Py_ssize_t size, bint has_transform, Shape* shape
) noexcept nogil:
    """What is wrong with the bytes from `end` on, where the engine's arrays end; `shape` is theirs.

    Of a model with a transform it becomes that of raw rows.
    """
    cdef TransformView view
    cdef const char* problem
    cdef Py_ssize_t begin = (end + BLOCK_ALIGNMENT - 1) & ~<Py_ssize_t>(BLOCK_ALIGNMENT - 1)
    shape.transform = 0
    if not has_transform:
        if end != size:
            return "its arrays do not fill it"
        return NULL
    if begin > size:
        return "its transform is too short"
    problem = check_block(data + begin, size - begin, &view)
    if problem != NULL:
        return problem
    if view.header.columns != shape.features:
        return "its transform makes other columns than it has features"
    shape.transform = begin // BLOCK_ALIGNMENT
    shape.wide = True
    shape.scratch += (view.header.columns + view.header.features) * sizeof(double)
    shape.features = view.header.features
    shape.row_cost += row_cost(&view)
    return NULL
