"""The engine `linear`, its native part: rows are scored from the packed bytes where they lie.

docs/artifacts.md has the layout. Coefficients are float64 and lie by feature, those of one feature's sums
side by side, so that a row is one pass over them. A feature may also have categories: for each a row of
coefficients that is added when the value is that category. An unknown one adds nothing.
"""

cimport cython
from cython cimport floating
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from cell.engines.behind cimport check_behind
from cell.engines.kinds cimport Kind, Shape, know
from cell.engines.native cimport Native
from cell.engines.outcome cimport TRANSFORMATIONS, label_of, transform

cdef extern from *:
    """
    #define PREFETCH(address) __builtin_prefetch((const void*)(address), 0, 3)
    """
    void PREFETCH(const void* address) noexcept nogil

cdef enum:
    _VERSION = 1
    _MAX_SUMS = 65_535
    _PAIR = 1
    # There is a transform behind the arrays.
    _TRANSFORM = 4
    _KNOWN_FLAGS = 5

cdef packed struct Header:
    uint16_t version
    uint8_t transformation
    uint8_t zero
    uint32_t flags
    uint32_t features
    uint32_t sums
    # Features with categories, and categories of all of them.
    uint32_t encoded
    uint32_t categories
    double parameter

cdef packed struct Encoded:
    uint32_t feature
    # Its categories, ascending, begin here and end where the next one's begin.
    uint32_t first

cdef struct View:
    const Header* header
    const double* intercept
    # (features, sums)
    const double* coefficients
    # (categories, sums)
    const double* contributions
    const Encoded* encoded
    const float* categories


cdef inline void _add_categories(const View* view, const floating* row, double* sums) noexcept nogil:
    cdef uint32_t count = view.header.sums, i, k, low, high, middle, end
    cdef const double* contribution
    cdef floating value
    for i in range(view.header.encoded):
        value = row[view.encoded[i].feature]
        low = view.encoded[i].first
        end = high = view.encoded[i + 1].first
        while low < high:
            middle = (low + high) >> 1
            if view.categories[middle] < value:
                low = middle + 1
            else:
                high = middle
        if low < end and view.categories[low] == value:
            contribution = view.contributions + <uint64_t>low * count
            for k in range(count):
                sums[k] += contribution[k]


cdef inline double _dot(const double* coefficients, const floating* row, uint32_t count) noexcept nogil:
    """In four sums, which the core adds at the same time."""
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0
    cdef uint32_t i = 0
    while i + 4 <= count:
        a += coefficients[i] * row[i]
        b += coefficients[i + 1] * row[i + 1]
        c += coefficients[i + 2] * row[i + 2]
        d += coefficients[i + 3] * row[i + 3]
        i += 4
    while i < count:
        a += coefficients[i] * row[i]
        i += 1
    return (a + b) + (c + d)


cdef void _score_rows(
    const unsigned char* data,
    const float* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* scratch,
) noexcept nogil:
    _score(data, rows, count, out, labels, scratch)


cdef void _score_wide_rows(
    const unsigned char* data,
    const double* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* scratch,
) noexcept nogil:
    _score(data, rows, count, out, labels, scratch)


cdef inline void _score(
    const unsigned char* data,
    const floating* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* sums,
) noexcept nogil:
    cdef View laid
    cdef const View* view = &laid
    cdef const Header* header = <const Header*>data
    cdef uint32_t columns = header.sums + (header.flags & _PAIR)
    cdef Py_ssize_t i
    _lay(data, &laid)
    for i in range(count):
        _add(view, rows + i * header.features, sums)
        if labels != NULL:
            labels[i] = label_of(sums, header.sums)
        transform(
            header.transformation,
            header.parameter,
            header.flags & _PAIR,
            sums,
            header.sums,
            out + i * columns,
        )


cdef inline void _add(const View* view, const floating* row, double* sums) noexcept nogil:
    """One row's sums."""
    cdef const Header* header = view.header
    cdef uint32_t count = header.sums, i, k
    cdef const double* coefficients = view.coefficients
    if count == 1:
        sums[0] = view.intercept[0] + _dot(coefficients, row, header.features)
    else:
        for k in range(count):
            sums[k] = view.intercept[k]
        for i in range(header.features):
            for k in range(count):
                sums[k] += coefficients[k] * row[i]
            coefficients += count
    if header.encoded:
        _add_categories(view, row, sums)


cdef void _prefetch(const unsigned char* data) noexcept nogil:
    """The first lines of a model that is next; the core fetches the others by itself."""
    PREFETCH(data + 64)
    PREFETCH(data + 128)


cdef uint64_t _lay(const unsigned char* data, View* view) noexcept nogil:
    """Set the pointers and return where the last array ends; of checked counts it is far below 2**64."""
    cdef const Header* header = <const Header*>data
    cdef uint64_t sums = header.sums, at = sizeof(Header)
    view.header = header
    view.intercept = <const double*>(data + at)
    at += sums * sizeof(double)
    view.coefficients = <const double*>(data + at)
    at += header.features * sums * sizeof(double)
    view.contributions = <const double*>(data + at)
    at += header.categories * sums * sizeof(double)
    view.encoded = <const Encoded*>(data + at)
    at += (<uint64_t>header.encoded + 1) * sizeof(Encoded)
    view.categories = <const float*>(data + at)
    at += <uint64_t>header.categories * sizeof(float)
    return at


cdef const char* _check_header(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef const Header* header = <const Header*>data
    if size < <Py_ssize_t>sizeof(Header):
        return "it is too short"
    if header.version != _VERSION:
        return "its layout has an unknown version"
    if header.flags & ~<uint32_t>_KNOWN_FLAGS or header.zero or header.transformation >= TRANSFORMATIONS:
        return "it has unknown flags or an unknown transformation"
    if not 1 <= header.features <= 32_768 or not 1 <= header.sums <= _MAX_SUMS:
        return "it has an impossible number of features or sums"
    if header.flags & _PAIR and header.sums != 1:
        return "a pair of outputs has one sum"
    return NULL


cdef const char* _check_encoded(const View* view) noexcept nogil:
    cdef uint32_t i
    if view.encoded[0].first != 0 or view.encoded[view.header.encoded].first != view.header.categories:
        return "its encoded features do not fill its categories"
    for i in range(view.header.encoded):
        if view.encoded[i].feature >= view.header.features:
            return "it encodes a feature that is none"
        if view.encoded[i].first > view.encoded[i + 1].first:
            return "its encoded features are out of order"
    return NULL


cdef const char* _check(const unsigned char* data, Py_ssize_t size, Shape* shape) noexcept nogil:
    cdef View view
    cdef const char* problem = _check_header(data, size)
    if problem == NULL and _lay(data, &view) > <uint64_t>size:
        problem = "its arrays do not fill it"
    if problem == NULL:
        problem = _check_encoded(&view)
    if problem == NULL:
        shape.features = view.header.features
        shape.columns = view.header.sums + (view.header.flags & _PAIR)
        shape.scratch = view.header.sums * sizeof(double)
        shape.wide = True
        # An estimate in nanoseconds: half a one for a coefficient, and one for each value of the answer.
        shape.row_cost = 20 + (1 + 0.5 * <float>view.header.features) * view.header.sums
        problem = check_behind(data, _lay(data, &view), size, view.header.flags & _TRANSFORM, shape)
    return problem


cdef Kind _KIND
_KIND.name = "linear model"
_KIND.check = _check
_KIND.score_rows = _score_rows
_KIND.score_wide_rows = _score_wide_rows
_KIND.prefetch = _prefetch
know("linear", &_KIND)


@cython.no_gc
cdef class Linear(Native):
    """A linear model, copied from `section` into `arena`, or one for tools, and checked there.

    Raises:
        ArtifactRefused: the bytes are no linear model of this layout.
        ArenaFull: there is no room for them.
    """

    def __init__(self, section, arena=None, digest=None):
        self.load(&_KIND, section, arena, digest)
