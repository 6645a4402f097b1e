"""The engine `forest`, its native part: rows are scored from the packed bytes where they lie.

docs/artifacts.md has the layout. Nothing is unpacked: the pointers into a model are computed from its header
on each call, and one pass at its load has checked every index, so that the walk itself checks none. A child
lies behind its parent, which makes every walk end.

Eight trees are walked abreast. One tree is a chain of loads that wait for each other; eight keep the
core busy and have their cache misses at the same time. A lane whose walk has ended stays where it is,
for a leaf's children are 0 away, so the inner loop has no branch that depends on the row. While eight
trees are walked the first lines of the next eight are fetched, and before a model is scored the next one
is, so that a row whose model is in no cache waits less for memory.

`python -m bench engines` compares it with the libraries' own (docs/benchmarks.md).
"""

cimport cython
from libc.math cimport NAN, fabs, fabsf, log2f
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from cell.engines.behind cimport check_behind
from cell.engines.forest_layout cimport (
    CATEGORICAL,
    EXACT,
    FEATURE,
    LISTED_RIGHT,
    MISSING_RIGHT,
    PAIR,
    REMAINDERS,
    SPLIT_BITS,
    TRANSFORM,
    TRUNCATE,
    WIDE,
    ZERO_IS_MISSING,
    Header,
    Node,
    Split,
    View,
    bits_of,
    check,
    lay,
    remainder_at,
)
from cell.engines.kinds cimport Kind, Shape, know
from cell.engines.native cimport Native
from cell.engines.outcome cimport label_of, transform
from cell.engines.rounding cimport residue_of, rounded_down, rounded_up

cdef extern from *:
    """
    #define PREFETCH(address) __builtin_prefetch((const void*)(address), 0, 3)
    """
    void PREFETCH(const void* address) noexcept nogil

cdef enum:
    _LANES = 8
    _LINE = 64
    # Of the first-level cache, which has 32 KiB, what is given to the next model.
    _AHEAD = 24 * 1024

# LightGBM's zero; a sparse matrix, of which XGBoost takes what it does not hold for missing, has 0 alone.
cdef float _NEAR_ZERO = 1e-35

cdef Node _NO_TREE
_NO_TREE.value = 0.0
_NO_TREE.feature = 0
_NO_TREE.left = 0


# A row as it is walked. One of float64 was rounded to `values`; NULL otherwise are the row itself, which
# categories look at, and how far it lies above the values.
cdef struct Row:
    const float* values
    const double* exact
    const uint32_t* residues


cdef inline bint _is_member(const View* view, const Split* split, double value) noexcept nogil:
    """Whether a value that is not missing is one of the split's categories."""
    cdef int rule = view.header.category_rule
    cdef uint32_t words = split.extent & ~<uint32_t>LISTED_RIGHT
    cdef uint32_t category
    if not (value > -1.0 and value < 16_777_216.0) or (value < 0.0 and rule != TRUNCATE):
        return False
    category = <uint32_t><int32_t>value
    if rule == EXACT and <double>category != value:
        return False
    if category >> 5 >= words:
        return False
    return view.words[split.word + (category >> 5)] >> (category & 31) & 1


cdef inline bint _is_beyond(const View* view, const Node* node, const Row* row, uint32_t tree) noexcept nogil:
    """Whether a value that was rounded to the node's threshold is above what that was rounded from."""
    cdef uint32_t at = remainder_at(<uint32_t>(node - view.nodes) + node.left, tree)
    return view.header.flags & REMAINDERS and row.residues[node.feature & FEATURE] > view.remainders[at]


cdef inline const Node* _step(
    const View* view, const Node* node, const Row* row, uint32_t tree, bint is_wide
) noexcept nogil:
    """One level down, with missing values and categories."""
    cdef uint32_t feature = node.feature & FEATURE
    cdef float value = row.values[feature]
    cdef const Split* split
    cdef bint right
    if node.left == 0:
        return node
    if value != value:
        right = (node.feature & MISSING_RIGHT) != 0
    elif node.value != node.value:
        split = view.splits + (bits_of(node.value) & SPLIT_BITS)
        right = _is_member(
            view, split, row.exact[feature] if is_wide else value
        ) == <bint>(split.extent >> 31)
    elif is_wide and value == node.value:
        right = _is_beyond(view, node, row, tree)
    else:
        right = value > node.value
    return node + node.left + right


cdef inline void _walk(
    const View* view,
    uint32_t first,
    uint32_t end,
    const Row* row,
    bint is_plain,
    bint is_wide,
    const Node** leaves,
) noexcept nogil:
    """The leaves of up to eight trees from `first` on; of less, the other lanes end nowhere."""
    cdef const Node* at[_LANES]
    cdef const Node* node
    cdef const float* values = row.values
    cdef uint32_t lane, going, step
    cdef float value
    for lane in range(_LANES):
        at[lane] = view.nodes + view.roots[first + lane] if first + lane < end else &_NO_TREE
    if is_plain:
        going = 1
        while going:
            going = 0
            for lane in range(_LANES):
                node = at[lane]
                step = node.left
                going |= step
                value = values[node.feature & FEATURE]
                if is_wide and value == node.value and step != 0:
                    step += _is_beyond(view, node, row, first + lane)
                else:
                    step += (value > node.value) & (step != 0)
                at[lane] = node + step
    else:
        going = 1
        while going:
            going = 0
            for lane in range(_LANES):
                node = at[lane]
                going |= node.left
                at[lane] = _step(view, node, row, first + lane, is_wide)
    for lane in range(_LANES):
        leaves[lane] = at[lane]


cdef inline void _prefetch(const View* view, uint32_t first, uint32_t end) noexcept nogil:
    cdef uint32_t tree
    for tree in range(first, min(end, first + _LANES)):
        PREFETCH(view.nodes + view.roots[tree])


cdef void _prefetch_model(const unsigned char* data) noexcept nogil:
    """A model that is next, up to its nodes' end; of a large one the first part."""
    cdef View view
    cdef const char* at = <const char*>data + sizeof(Header)
    cdef const char* end
    lay(data, &view)
    end = min(<const char*>(view.nodes + view.header.nodes), at + _AHEAD)
    while at < end:
        PREFETCH(at)
        at += _LINE


cdef inline double _sum(
    const View* view, uint32_t begin, uint32_t end, const Row* row, bint is_plain, bint is_wide
) noexcept nogil:
    """The leaves of a group of trees, added."""
    cdef const Node* leaves[_LANES]
    cdef double total = 0.0
    cdef uint32_t first = begin, lane
    while first < end:
        _prefetch(view, first + _LANES, end)
        _walk(view, first, end, row, is_plain, is_wide, leaves)
        for lane in range(_LANES):
            total += leaves[lane].value
        first += _LANES
    return total


cdef inline void _add_vectors(
    const View* view, const Row* row, bint is_plain, bint is_wide, double* sums
) noexcept nogil:
    cdef const Node* leaves[_LANES]
    cdef uint32_t first = 0, lane, i, count = view.header.sums, trees = view.header.trees
    cdef const float* vector
    while first < trees:
        _walk(view, first, trees, row, is_plain, is_wide, leaves)
        for lane in range(min(<uint32_t>_LANES, trees - first)):
            vector = view.vectors + <uint64_t>bits_of(leaves[lane].value) * count
            for i in range(count):
                sums[i] += vector[i]
        first += _LANES


cdef inline bint _has_missing(const float* row, uint32_t count) noexcept nogil:
    cdef uint32_t i, missing = 0
    for i in range(count):
        missing |= row[i] != row[i]
    return missing != 0


cdef inline float _zero(const View* view) noexcept nogil:
    """What is no further from 0 is a zero."""
    return _NEAR_ZERO if view.header.category_rule == TRUNCATE else 0.0


cdef const float* _without_zeros(const View* view, const float* row, float* scratch) noexcept nogil:
    """The row with NaN for zeros where the model takes them for missing."""
    cdef float zero = _zero(view)
    cdef uint32_t i
    for i in range(view.header.features):
        scratch[i] = NAN if view.zeros[i >> 5] >> (i & 31) & 1 and fabsf(row[i]) <= zero else row[i]
    return scratch


cdef void _score_rows(
    const unsigned char* data,
    const float* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* scratch
) noexcept nogil:
    cdef View laid
    cdef const View* view = &laid
    cdef const Header* header = <const Header*>data
    cdef uint32_t columns = header.sums + (header.flags & PAIR)
    cdef float* cleaned = <float*>(scratch + header.sums)
    cdef Row row
    cdef Py_ssize_t i
    lay(data, &laid)
    row.exact, row.residues = NULL, NULL
    for i in range(count):
        row.values = rows + i * header.features
        if header.flags & ZERO_IS_MISSING:
            row.values = _without_zeros(view, row.values, cleaned)
        _add(view, &row, False, scratch)
        _give(header, scratch, out + i * columns, NULL if labels == NULL else labels + i)


cdef void _score_wide_rows(
    const unsigned char* data,
    const double* rows,
    Py_ssize_t count,
    float* out,
    int64_t* labels,
    double* scratch
) noexcept nogil:
    cdef View laid
    cdef const View* view = &laid
    cdef const Header* header = <const Header*>data
    cdef uint32_t columns = header.sums + (header.flags & PAIR)
    cdef float* values = <float*>(scratch + header.sums)
    cdef uint32_t* residues = <uint32_t*>(values + header.features)
    cdef Row row
    cdef Py_ssize_t i
    lay(data, &laid)
    row.values, row.residues = values, residues
    for i in range(count):
        row.exact = rows + i * header.features
        if not header.flags & WIDE:
            _narrow(view, row.exact, values)
            _add(view, &row, False, scratch)
        else:
            _round(view, row.exact, values, residues)
            # Of a model whose thresholds are float32 and that has no categories this is all.
            if header.flags & (REMAINDERS | CATEGORICAL):
                _add(view, &row, True, scratch)
            else:
                _add(view, &row, False, scratch)
        _give(header, scratch, out + i * columns, NULL if labels == NULL else labels + i)


cdef void _narrow(const View* view, const double* row, float* values) noexcept nogil:
    """A row as the library sees it that has float32 rows only."""
    cdef uint32_t i
    for i in range(view.header.features):
        values[i] = <float>row[i]
    if view.header.flags & ZERO_IS_MISSING:
        _without_zeros(view, values, values)


cdef void _round(const View* view, const double* row, float* values, uint32_t* residues) noexcept nogil:
    """A row as rounding.pxd has it, with NaN for zeros where the model takes them for missing."""
    cdef uint32_t i
    if view.header.flags & REMAINDERS:
        for i in range(view.header.features):
            values[i] = rounded_down(row[i])
            residues[i] = residue_of(row[i], values[i])
    else:
        for i in range(view.header.features):
            values[i] = rounded_up(row[i])
    if view.header.flags & ZERO_IS_MISSING:
        for i in range(view.header.features):
            if view.zeros[i >> 5] >> (i & 31) & 1 and fabs(row[i]) <= _zero(view):
                values[i] = NAN


cdef inline void _give(const Header* header, double* sums, float* out, int64_t* label) noexcept nogil:
    """What becomes of a row's sums."""
    if label != NULL:
        label[0] = label_of(sums, header.sums)
    transform(header.transformation, header.parameter, header.flags & PAIR, sums, header.sums, out)


cdef inline void _add(const View* view, const Row* row, bint is_wide, double* sums) noexcept nogil:
    """One row's sums."""
    cdef const Header* header = view.header
    cdef uint32_t count = header.sums, i
    cdef bint is_plain = not header.flags & CATEGORICAL and not _has_missing(row.values, header.features)
    if header.vectors:
        for i in range(count):
            sums[i] = 0.0
        _add_vectors(view, row, is_plain, is_wide, sums)
    elif is_plain:
        for i in range(count):
            sums[i] = _sum(view, view.groups[i], view.groups[i + 1], row, True, is_wide)
    else:
        for i in range(count):
            sums[i] = _sum(view, view.groups[i], view.groups[i + 1], row, False, is_wide)
    for i in range(count):
        sums[i] = sums[i] / header.divisor + view.base[i]


cdef const char* _check(const unsigned char* data, Py_ssize_t size, Shape* shape) noexcept nogil:
    cdef View view
    cdef const char* problem = check(data, size, &view)
    if problem == NULL:
        shape.features = view.header.features
        shape.columns = view.header.sums + (view.header.flags & PAIR)
        shape.scratch = view.header.sums * sizeof(double) + view.header.features * 2 * sizeof(float)
        shape.wide = (view.header.flags & WIDE) != 0
        # Estimates in nanoseconds. A level counts 2 and a feature 1, an answer's value 1 and, where leaves
        # are vectors, one of each tree's.
        shape.row_cost = view.header.features + 2 * view.header.trees * log2f(
            1 + <float>view.header.nodes / max(1, view.header.trees)
        ) + <float>view.header.sums * (1 + (view.header.trees if view.header.vectors else 0))
        problem = check_behind(data, lay(data, &view), size, view.header.flags & TRANSFORM, shape)
    return problem


cdef Kind _KIND
_KIND.name = "forest"
_KIND.check = _check
_KIND.score_rows = _score_rows
_KIND.score_wide_rows = _score_wide_rows
_KIND.prefetch = _prefetch_model
know("forest", &_KIND)


@cython.no_gc
cdef class Forest(Native):
    """A forest, copied from `section` into `arena`, or one for tools, and checked there.

    Raises:
        ArtifactRefused: the bytes are no forest of this layout.
        ArenaFull: there is no room for them.
    """

    def __init__(self, section, arena=None, digest=None):
        self.load(&_KIND, section, arena, digest)
