"""A block `transform` by itself, for tools; models use theirs where it lies, behind an engine's arrays."""

cimport cython
from libc.math cimport INFINITY
from libc.stdint cimport uint32_t

from cell.engines.transform cimport NOT_REFUSED, apply, check_block, code_of, refusal, row_cost
from cell.engines.transform_layout cimport TransformView

from cell.engines import ArtifactRefused


@cython.final
cdef class Transform:
    """A block by itself, for tools: copied from `block`, and checked.

    Raises:
        ArtifactRefused: the bytes are no block of this layout.
    """

    cdef bytes _block
    cdef TransformView _view

    def __init__(self, block):
        cdef const char* problem
        self._block = bytes(block)
        problem = check_block(self._block, len(self._block), &self._view)
        if problem != NULL:
            self._block = None
            raise ArtifactRefused(f"the block is damaged: {problem.decode()}")

    @property
    def features(self):
        """Numbers of a raw row."""
        return self._view.header.features

    @property
    def columns(self):
        return self._view.header.columns

    @property
    def row_cost(self):
        """About what a row takes, in nanoseconds."""
        return row_cost(&self._view)

    def codes_of(self, uint32_t feature, list texts not None, double[::1] codes):
        """Fill `codes` with the texts' places in a feature's dictionary; -1 for one that is not there."""
        cdef Py_ssize_t i
        cdef bytes text
        if codes.shape[0] != len(texts):
            raise ValueError(f"{codes.shape[0]} places for {len(texts)} texts")
        for i in range(len(texts)):
            text = texts[i]
            codes[i] = code_of(&self._view, feature, text, len(text))

    def apply(self, const double[:, ::1] rows, double[:, ::1] columns):
        """Fill `columns`, (n, columns), from raw rows, (n, features)."""
        cdef Py_ssize_t i
        self._check_shape(rows)
        if columns.shape[0] != rows.shape[0] or columns.shape[1] != self.columns:
            raise ValueError("the columns have another shape than the rows' ones")
        for i in range(rows.shape[0]):
            apply(&self._view, &rows[i, 0], &columns[i, 0])

    def refusal(self, const double[:, ::1] rows, double limit=INFINITY):
        """The first raw row that is refused, its feature, and why, as a number; None if there is none.

        A column may be no larger than `limit`.
        """
        cdef Py_ssize_t i
        cdef uint32_t feature = 0
        cdef int why
        self._check_shape(rows)
        for i in range(rows.shape[0]):
            why = refusal(&self._view, &rows[i, 0], limit, &feature)
            if why != NOT_REFUSED:
                return i, feature, why
        return None

    cdef int _check_shape(self, const double[:, ::1] rows) except -1:
        if rows.shape[1] != self.features:
            raise ValueError(f"a raw row has {self.features} numbers")
        return 0
