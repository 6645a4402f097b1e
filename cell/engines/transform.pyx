"""What a pipeline does before its estimator: raw features become the columns that the engine behind it sees.

docs/artifacts.md has the layout of the block. It is used where it lies, like the engine's own arrays, and one
check at the load has looked at every index (`transform_layout.pxd`). All is float64, in the library's order
of operations.

A raw row has numbers only: a text is its place in the feature's dictionary, and whoever fills a row asks
`code_of` for it. `refusal` says what a row may not have; rows that are scored were asked about before.
"""

from libc.math cimport INFINITY, fabs, log2f
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from cell.engines.transform_layout cimport (
    ACCEPTS_INFINITE,
    ACCEPTS_MISSING,
    CLIPPED,
    COPY,
    IS_TEXT,
    MAY_OVERFLOW,
    NO_COLUMN,
    ONE_HOT,
    ONWARDS,
    ORDINAL,
    REFUSES_UNKNOWN,
    SCALE_SHIFT,
    SHIFT_SCALE,
    Dictionary,
    DictionaryEntry,
    Step,
    TransformView,
    check_transform,
    compare_texts,
)

cdef enum:
    # So many categories lie in a cache.
    _CACHED = 4096

# 2**64: of smaller values steps make nothing beyond float32, but for features that say so.
cdef double _LARGE = 18446744073709551616.0


cdef const char* check_block(const unsigned char* data, Py_ssize_t size, TransformView* view) noexcept nogil:
    return check_transform(data, size, view)


cdef inline uint32_t _place_of(const double* table, uint32_t count, double value) noexcept nogil:
    """The place of a value among `count` that ascend, of which NaN may be the last; `count` if it is none."""
    cdef uint32_t low = 0, high = count, middle
    # Places in a dictionary are their own places here, if the categories are the dictionary's.
    if 0.0 <= value < count and table[<uint32_t>value] == value:
        return <uint32_t>value
    if value != value:
        return count - 1 if count and table[count - 1] != table[count - 1] else count
    while low < high:
        middle = (low + high) >> 1
        if table[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < count and table[low] == value else count


cdef inline void _one_hot(
    const TransformView* view, const Step* step, double value, double* columns
) noexcept nogil:
    cdef const double* table = view.numbers + step.first
    cdef uint32_t place = _place_of(table, step.count, value)
    cdef double column
    memset(columns, 0, <size_t>step.a * sizeof(double))
    if place == step.count:
        if step.other != NO_COLUMN:
            columns[step.other] = 1.0
        return
    column = table[step.count + place]
    if column >= 0.0:
        columns[<uint32_t>column] = 1.0


cdef inline double _ordinal(const TransformView* view, const Step* step, double value) noexcept nogil:
    cdef const double* table = view.numbers + step.first
    cdef uint32_t place
    if value != value:
        return step.b
    place = _place_of(table, step.count, value)
    return step.a if place == step.count else table[step.count + place]


cdef inline double _scaled(const TransformView* view, const Step* step, double value) noexcept nogil:
    value = value * step.a
    value = value + step.b
    if step.flags & CLIPPED:
        if value < view.numbers[step.first]:
            return view.numbers[step.first]
        if value > view.numbers[step.first + 1]:
            return view.numbers[step.first + 1]
    return value


cdef void apply(const TransformView* view, const double* raw, double* columns) noexcept nogil:
    cdef uint32_t i
    cdef const Step* step
    cdef double value
    for i in range(view.header.steps):
        step = view.steps + i
        value = columns[step.column] if step.flags & ONWARDS else raw[step.source]
        if value != value:
            value = step.fill
        if step.kind == SHIFT_SCALE:
            columns[step.column] = (value - step.a) / step.b
        elif step.kind == ONE_HOT:
            _one_hot(view, step, value, columns + step.column)
        elif step.kind == SCALE_SHIFT:
            columns[step.column] = _scaled(view, step, value)
        elif step.kind == COPY:
            columns[step.column] = value
        elif step.kind == ORDINAL:
            columns[step.column] = _ordinal(view, step, value)
        else:
            columns[step.column] = raw[step.source] != raw[step.source]


cdef double code_of(
    const TransformView* view, uint32_t feature, const char* text, Py_ssize_t size
) noexcept nogil:
    cdef uint32_t low = 0, high = view.header.dictionaries, middle, first
    cdef const DictionaryEntry* entry
    cdef int found
    while low < high:
        middle = (low + high) >> 1
        if view.dictionaries[middle].feature < feature:
            low = middle + 1
        else:
            high = middle
    if low == view.header.dictionaries or view.dictionaries[low].feature != feature:
        return -1.0
    high = view.dictionaries[low + 1].first
    low = first = view.dictionaries[low].first
    while low < high:
        # Of up to 2**32 - 1 entries: the sum may need a bit more.
        middle = low + ((high - low) >> 1)
        entry = view.entries + middle
        found = compare_texts(view.texts + entry.offset, entry.size, text, size)
        if found == 0:
            return middle - first
        if found < 0:
            low = middle + 1
        else:
            high = middle
    return -1.0


cdef inline bint _is_unknown(const TransformView* view, const Step* step, const double* raw) noexcept nogil:
    """Whether a step has categories, and the row's value is none of them."""
    cdef double value
    if step.kind != ONE_HOT and step.kind != ORDINAL:
        return False
    value = raw[step.source]
    if value != value:
        value = step.fill
    if step.kind == ORDINAL and value != value:
        return False
    return _place_of(view.numbers + step.first, step.count, value) == step.count


cdef int _overflow(
    const TransformView* view, const double* raw, double limit, uint32_t* feature
) noexcept nogil:
    """Whether steps make something above `limit` of a number: rare enough for memory of its own."""
    cdef double* columns = <double*>malloc(view.header.columns * sizeof(double))
    cdef const Step* step
    cdef uint32_t i
    cdef int found = NOT_REFUSED
    if columns == NULL:
        return TOO_LARGE_REFUSED
    apply(view, raw, columns)
    for i in range(view.header.steps):
        step = view.steps + i
        # What goes on from a column was begun by a step that knows the feature.
        if step.kind > SCALE_SHIFT or step.flags & ONWARDS or fabs(raw[step.source]) == INFINITY:
            continue
        if fabs(columns[step.column]) > limit:
            feature[0] = step.source
            found = TOO_LARGE_REFUSED
            break
    free(columns)
    return found


cdef int refusal(
    const TransformView* view, const double* raw, double limit, uint32_t* feature
) noexcept nogil:
    cdef uint32_t i
    cdef uint8_t bits, every = 0
    cdef bint is_large = False
    for i in range(view.header.features):
        bits = view.bits[i]
        every |= bits
        feature[0] = i
        if raw[i] != raw[i]:
            if not bits & ACCEPTS_MISSING:
                return MISSING_REFUSED
        elif bits & IS_TEXT:
            if bits & REFUSES_UNKNOWN and raw[i] < 0.0:
                return UNKNOWN_REFUSED
        elif fabs(raw[i]) > _LARGE:
            if fabs(raw[i]) < INFINITY:
                is_large = True
            elif not bits & ACCEPTS_INFINITE:
                return INFINITE_REFUSED
    if every & REFUSES_UNKNOWN:
        for i in range(view.header.steps):
            feature[0] = view.steps[i].source
            if view.bits[feature[0]] & REFUSES_UNKNOWN and _is_unknown(view, view.steps + i, raw):
                return UNKNOWN_REFUSED
    return _overflow(view, raw, limit, feature) if is_large or every & MAY_OVERFLOW else NOT_REFUSED


cdef float row_cost(const TransformView* view) noexcept nogil:
    """Measured by `python -m bench engines`; what does not fit the caches takes longer to search."""
    cdef uint32_t i, entries
    cdef float cost = 2 * <float>view.header.features + 4 * <float>view.header.steps
    cdef const Step* step
    cdef const Dictionary* dictionary
    for i in range(view.header.steps):
        step = view.steps + i
        if step.kind == ONE_HOT:
            cost += 0.3 * <float>step.a
        if step.kind == ONE_HOT or step.kind == ORDINAL:
            cost += (2 if step.count < _CACHED else 40) * log2f(1 + <float>step.count)
    for i in range(view.header.dictionaries):
        dictionary = view.dictionaries + i
        entries = dictionary[1].first - dictionary.first
        cost += 15 + (8 if entries < _CACHED else 60) * log2f(1 + <float>entries)
    return cost
