"""The packed forest as it lies in memory, and the check that makes walking it safe.

docs/artifacts.md has the table. After `check` every index lies inside its array and every child behind its
parent, so that a walk needs no check of its own and ends.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cell.engines.outcome cimport TRANSFORMATIONS
from cell.engines.rounding cimport REMAINDER_BITS

cdef enum:
    LAYOUT_VERSION = 1
    MAX_SUMS = 65_535
    PAIR = 1
    ZERO_IS_MISSING = 2
    CATEGORICAL = 4
    # The library compares float64, and there are remainders of its thresholds.
    WIDE = 8
    REMAINDERS = 16
    # There is a transform behind the arrays.
    TRANSFORM = 32
    KNOWN_FLAGS = 63
    # In a node's `feature`: where a missing value goes; the other bits are the feature.
    MISSING_RIGHT = 0x8000
    FEATURE = 0x7FFF
    # In a split's `extent`: members go right. The other bits are its number of words.
    LISTED_RIGHT = 0x80000000
    # A node of a category has this NaN for a threshold, and the number of its split in the low bits.
    QUIET_NAN = 0x7FC00000
    SPLIT_BITS = 0x003FFFFF
    # Category rules.
    TRUNCATE = 0
    TRUNCATE_POSITIVE = 1
    EXACT = 2

cdef packed struct Header:
    uint16_t version
    uint8_t transformation
    uint8_t category_rule
    uint32_t flags
    uint32_t features
    uint32_t sums
    uint32_t trees
    uint32_t nodes
    uint32_t vectors
    uint32_t splits
    uint32_t words
    uint32_t zero
    double parameter
    double divisor
    uint64_t reserved

cdef packed struct Node:
    # The threshold of an inner node; a leaf's value, or the number of its vector.
    float value
    uint16_t feature
    # How many nodes on the left child lies; the right one follows it. 0 in a leaf.
    uint16_t left

cdef packed struct Split:
    uint32_t word
    uint32_t extent

cdef struct View:
    const Header* header
    const double* base
    const Split* splits
    const uint32_t* roots
    const uint32_t* groups
    const uint32_t* words
    const uint32_t* zeros
    const Node* nodes
    const uint32_t* remainders
    const float* vectors


cdef inline uint32_t bits_of(float value) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    return bits


cdef inline Py_ssize_t _place(Py_ssize_t* offset, uint64_t count, uint64_t size) noexcept nogil:
    """Where an array begins: after the one before, aligned to 8."""
    cdef Py_ssize_t begin = (offset[0] + 7) & ~<Py_ssize_t>7
    offset[0] = begin + <Py_ssize_t>(count * size)
    return begin


cdef inline Py_ssize_t lay(const unsigned char* data, View* view) noexcept nogil:
    """Set the pointers and return where the last array ends, which is before 2**60.

    Of a checked model this is all that a view takes; it costs next to nothing.
    """
    cdef const Header* header = <const Header*>data
    cdef Py_ssize_t at = sizeof(Header)
    view.header = header
    view.base = <const double*>(data + _place(&at, header.sums, sizeof(double)))
    view.splits = <const Split*>(data + _place(&at, header.splits, sizeof(Split)))
    view.roots = <const uint32_t*>(data + _place(&at, <uint64_t>header.trees + 1, 4))
    view.groups = <const uint32_t*>(data + _place(&at, <uint64_t>groups_of(header) + 1, 4))
    view.words = <const uint32_t*>(data + _place(&at, header.words, 4))
    view.zeros = <const uint32_t*>(
        data + _place(&at, (header.features + 31) >> 5 if header.flags & ZERO_IS_MISSING else 0, 4)
    )
    view.nodes = <const Node*>(data + _place(&at, header.nodes, sizeof(Node)))
    view.remainders = <const uint32_t*>(data + _place(&at, remainders_of(header), 4))
    view.vectors = <const float*>(data + _place(&at, <uint64_t>header.vectors * header.sums, 4))
    return at


cdef inline uint32_t groups_of(const Header* header) noexcept nogil:
    """Groups of trees that are summed: all together where leaves have vectors."""
    return 1 if header.vectors else header.sums


cdef inline uint32_t remainders_of(const Header* header) noexcept nogil:
    """One of each inner node, if there are any: a tree has one inner node less than leaves."""
    return (header.nodes - header.trees) >> 1 if header.flags & REMAINDERS else 0


cdef inline uint32_t remainder_at(uint32_t left, uint32_t tree) noexcept nogil:
    """Where the remainder lies of the node of a tree whose left child is `left`, counted over all trees.

    Always one of `remainders_of`: the trees from this one on have a node each, so that after a right child
    there are as many as trees, and left + 2 <= nodes - (trees - tree - 1).
    """
    return (left - 1 - tree) >> 1


cdef inline const char* _check_header(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef const Header* header = <const Header*>data
    if size < <Py_ssize_t>sizeof(Header):
        return "it is too short"
    if header.version != LAYOUT_VERSION:
        return "its layout has an unknown version"
    if header.flags & ~<uint32_t>KNOWN_FLAGS or header.zero or header.reserved:
        return "it has unknown flags"
    if header.flags & REMAINDERS and not header.flags & WIDE:
        return "it has remainders of thresholds that are compared as float32"
    if header.transformation >= TRANSFORMATIONS or header.category_rule > EXACT:
        return "it has an unknown transformation or category rule"
    if not 1 <= header.features <= 32_768 or not 1 <= header.sums <= MAX_SUMS:
        return "it has an impossible number of features or sums"
    if header.flags & PAIR and header.sums != 1:
        return "a pair of outputs has one sum"
    return NULL


cdef inline const char* _check_order(const View* view) noexcept nogil:
    """Trees and groups follow each other without gaps, and no tree is empty."""
    cdef const Header* header = view.header
    cdef uint32_t i, groups = groups_of(header)
    if view.roots[0] != 0 or view.roots[header.trees] != header.nodes:
        return "its trees do not fill its nodes"
    for i in range(header.trees):
        if view.roots[i] >= view.roots[i + 1]:
            return "its trees are out of order"
    if view.groups[0] != 0 or view.groups[groups] != header.trees:
        return "its groups do not fill its trees"
    for i in range(groups):
        if view.groups[i] > view.groups[i + 1]:
            return "its groups are out of order"
    for i in range(header.splits):
        if <uint64_t>view.splits[i].word + (view.splits[i].extent & ~<uint32_t>LISTED_RIGHT) > header.words:
            return "a categorical split lies outside its words"
    return NULL


cdef inline const char* _check_nodes(const View* view) noexcept nogil:
    cdef const Header* header = view.header
    cdef uint32_t tree, i, end, bits
    cdef const Node* node
    for tree in range(header.trees):
        end = view.roots[tree + 1]
        for i in range(view.roots[tree], end):
            node = view.nodes + i
            if <uint32_t>(node.feature & FEATURE) >= header.features:
                return "a node has a feature that is none"
            bits = bits_of(node.value)
            if node.left == 0:
                if header.vectors and bits >= header.vectors:
                    return "a leaf lies outside its vectors"
                continue
            # At most 65,535 + 1 on, from below 2**32 nodes: 64 bits hold it.
            if <uint64_t>i + node.left + 1 >= end:
                return "a node has a child outside its tree"
            if node.value != node.value:
                if not header.flags & CATEGORICAL or bits & ~<uint32_t>SPLIT_BITS != QUIET_NAN:
                    return "a threshold is not a number"
                if bits & SPLIT_BITS >= header.splits:
                    return "a node has a categorical split that is none"
    return NULL


cdef inline const char* _check_remainders(const View* view) noexcept nogil:
    cdef uint32_t i, together = 0
    for i in range(remainders_of(view.header)):
        together |= view.remainders[i]
    if together >> REMAINDER_BITS:
        return "a remainder is more than a step"
    return NULL


cdef inline const char* check(const unsigned char* data, Py_ssize_t size, View* view) noexcept nogil:
    """What is wrong with a model's arrays, or NULL; every count is looked at before it is used.

    What lies behind them is for `check_behind`.
    """
    cdef const char* problem = _check_header(data, size)
    if problem == NULL and lay(data, view) > size:
        problem = "its arrays do not fill it"
    if problem == NULL:
        problem = _check_order(view)
    if problem == NULL:
        problem = _check_nodes(view)
    if problem == NULL:
        problem = _check_remainders(view)
    return problem
