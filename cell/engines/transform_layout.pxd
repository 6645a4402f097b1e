"""The block `transform` as it lies in memory, and the check that makes using it safe.

docs/artifacts.md has the table. After `check` every index lies inside its array, and a step writes nothing
but the columns that are its own. Steps, their numbers, entries and texts lie in turn and without gaps, so
that the check is one pass over the bytes, whatever they say.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef enum:
    TRANSFORM_VERSION = 1
    # Where it begins, from its section's start.
    BLOCK_ALIGNMENT = 64
    MAX_STEPS = 65_536
    # Of each raw feature.
    ACCEPTS_MISSING = 1
    ACCEPTS_INFINITE = 2
    IS_TEXT = 4
    REFUSES_UNKNOWN = 8
    MAY_OVERFLOW = 16
    FEATURE_BITS = 31
    # Kinds of steps.
    COPY = 0
    SHIFT_SCALE = 1
    SCALE_SHIFT = 2
    ONE_HOT = 3
    ORDINAL = 4
    INDICATOR = 5
    STEP_KINDS = 6
    # Of a SCALE_SHIFT; and of a COPY, SHIFT_SCALE or SCALE_SHIFT: it goes on from its column.
    CLIPPED = 1
    ONWARDS = 2
    NO_COLUMN = 0xFFFFFFFF

cdef packed struct TransformHeader:
    uint16_t version
    uint16_t zero
    uint32_t flags
    uint32_t features
    uint32_t columns
    uint32_t steps
    uint32_t dictionaries
    uint32_t numbers
    uint32_t entries
    uint32_t text_bytes
    uint32_t reserved

cdef packed struct Step:
    uint16_t kind
    uint16_t flags
    uint32_t source
    uint32_t column
    uint32_t first
    uint32_t count
    uint32_t other
    double fill
    double a
    double b

cdef packed struct Dictionary:
    uint32_t feature
    # Its entries begin here and end where the next one's begin.
    uint32_t first

cdef packed struct DictionaryEntry:
    uint32_t offset
    uint32_t size

cdef struct TransformView:
    const TransformHeader* header
    const uint8_t* bits
    const Step* steps
    const double* numbers
    const Dictionary* dictionaries
    const DictionaryEntry* entries
    const char* texts


cdef inline Py_ssize_t lay_transform(const unsigned char* data, TransformView* view) noexcept nogil:
    """Set the pointers and return where the last array ends, which is before 2**40."""
    cdef const TransformHeader* header = <const TransformHeader*>data
    cdef Py_ssize_t at = sizeof(TransformHeader)
    view.header = header
    view.bits = <const uint8_t*>(data + at)
    at += (<Py_ssize_t>header.features + 7) & ~7
    view.steps = <const Step*>(data + at)
    at += <Py_ssize_t>header.steps * sizeof(Step)
    view.numbers = <const double*>(data + at)
    at += <Py_ssize_t>header.numbers * sizeof(double)
    view.dictionaries = <const Dictionary*>(data + at)
    at += (<Py_ssize_t>header.dictionaries + 1) * sizeof(Dictionary)
    view.entries = <const DictionaryEntry*>(data + at)
    at += <Py_ssize_t>header.entries * sizeof(DictionaryEntry)
    view.texts = <const char*>(data + at)
    return at + header.text_bytes


cdef inline bint is_utf8(const char* text, Py_ssize_t size) noexcept nogil:
    """As Python decodes it: the shortest form of each character, and no surrogates."""
    cdef const uint8_t* at = <const uint8_t*>text
    cdef const uint8_t* end = at + size
    cdef uint32_t character, least
    cdef int more
    while at < end:
        character = at[0]
        at += 1
        if character < 0x80:
            continue
        if character >> 5 == 0b110:
            more, least, character = 1, 0x80, character & 0x1F
        elif character >> 4 == 0b1110:
            more, least, character = 2, 0x800, character & 0x0F
        elif character >> 3 == 0b11110:
            more, least, character = 3, 0x10000, character & 0x07
        else:
            return False
        if end - at < more:
            return False
        while more:
            if at[0] >> 6 != 0b10:
                return False
            character = character << 6 | (at[0] & 0x3F)
            at += 1
            more -= 1
        if character < least or character > 0x10FFFF or 0xD800 <= character <= 0xDFFF:
            return False
    return True


cdef inline int compare_texts(
    const char* one, Py_ssize_t one_size, const char* other, Py_ssize_t other_size
) noexcept nogil:
    """Below, at or above 0, by bytes; what begins like the other and is longer is greater."""
    cdef int found = memcmp(one, other, min(one_size, other_size))
    if found:
        return found
    return (one_size > other_size) - (one_size < other_size)


cdef inline const char* _check_counts(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef const TransformHeader* header = <const TransformHeader*>data
    if size < <Py_ssize_t>sizeof(TransformHeader):
        return "its transform is too short"
    if header.version != TRANSFORM_VERSION:
        return "its transform has an unknown version"
    if header.zero or header.flags or header.reserved:
        return "its transform has unknown flags"
    if not 1 <= header.features <= 32_768 or not 1 <= header.columns <= 32_768:
        return "its transform has an impossible number of features or columns"
    if not 1 <= header.steps <= MAX_STEPS:
        return "its transform has an impossible number of steps"
    return NULL


cdef inline bint _is_place(double value, int64_t least, double end) noexcept nogil:
    """A whole number from `least` up to `end`, which is not."""
    return least <= value < end and value == <double><int64_t>value


cdef inline const char* _check_table(const TransformView* view, const Step* step) noexcept nogil:
    """The categories of a ONE_HOT or ORDINAL, and where they lead."""
    cdef const double* table = view.numbers + step.first
    cdef uint32_t i
    cdef bint with_missing = (
        step.kind == ONE_HOT and step.count and table[step.count - 1] != table[step.count - 1]
    )
    for i in range(step.count):
        if table[i] != table[i] and not (with_missing and i + 1 == step.count):
            return "a category of its transform is not a number"
        if i and not (table[i - 1] < table[i] or (with_missing and i + 1 == step.count)):
            return "categories of its transform are out of order"
        if step.kind == ONE_HOT and not _is_place(table[step.count + i], -1, step.a):
            return "a category of its transform has a column that is not its step's"
    return NULL


cdef inline uint16_t _flags_of(uint16_t kind) noexcept nogil:
    """Those that a step may have."""
    if kind == SCALE_SHIFT:
        return CLIPPED | ONWARDS
    return ONWARDS if kind == COPY or kind == SHIFT_SCALE else 0


cdef inline const char* _check_steps(const TransformView* view) noexcept nogil:
    cdef uint32_t i, column = 0, number = 0, numbers = view.header.numbers
    cdef uint64_t taken
    cdef const Step* step
    cdef const char* problem
    for i in range(view.header.steps):
        step = view.steps + i
        if step.kind >= STEP_KINDS or step.flags & ~_flags_of(step.kind):
            return "a step of its transform is of an unknown kind"
        if step.source >= view.header.features:
            return "a step of its transform has a feature that is none"
        if step.column >= column if step.flags & ONWARDS else step.column != column:
            return "the steps of its transform are out of order"
        taken = 2 * <uint64_t>step.count if step.kind == ONE_HOT or step.kind == ORDINAL else 0
        if step.flags & CLIPPED:
            taken = 2
        if step.first > numbers or (taken and (step.first != number or number + taken > numbers)):
            return "the numbers of its transform are out of order"
        if step.flags & CLIPPED and not view.numbers[number] <= view.numbers[number + 1]:
            return "a step of its transform has no range"
        if step.kind == ONE_HOT:
            if not _is_place(step.a, 0, <double>view.header.columns + 1):
                return "a step of its transform has an impossible number of columns"
            if step.other != NO_COLUMN and step.other >= step.a:
                return "a step of its transform has a column that is not its own"
        if step.kind == ONE_HOT or step.kind == ORDINAL:
            problem = _check_table(view, step)
            if problem != NULL:
                return problem
        number += <uint32_t>taken
        if not step.flags & ONWARDS:
            column += <uint32_t>step.a if step.kind == ONE_HOT else 1
        if column > view.header.columns:
            return "the steps of its transform have too many columns"
    if column != view.header.columns or number != numbers:
        return "the steps of its transform do not fill its columns and numbers"
    return NULL


cdef inline const char* _check_features(const TransformView* view) noexcept nogil:
    """Text features have one dictionary each, in their order."""
    cdef uint32_t i, found = 0, count = view.header.dictionaries
    for i in range(view.header.features):
        if view.bits[i] & ~<uint8_t>FEATURE_BITS:
            return "a feature of its transform has unknown flags"
        if view.bits[i] & IS_TEXT:
            if found == count or view.dictionaries[found].feature != i:
                return "the dictionaries of its transform are not those of its texts"
            found += 1
    if found != count:
        return "the dictionaries of its transform are not those of its texts"
    return NULL


cdef inline const char* _check_dictionaries(const TransformView* view) noexcept nogil:
    cdef uint32_t i, k, offset = 0, count = view.header.dictionaries
    cdef const DictionaryEntry* entry
    if view.dictionaries[0].first != 0 or view.dictionaries[count].first != view.header.entries:
        return "the dictionaries of its transform do not fill its entries"
    for i in range(count):
        # Ascending, and the last is the number of entries: so none is above that.
        if view.dictionaries[i].first > view.dictionaries[i + 1].first:
            return "the dictionaries of its transform are out of order"
    for k in range(view.header.entries):
        entry = view.entries + k
        if entry.offset != offset or entry.size > view.header.text_bytes - offset:
            return "the texts of its transform are out of order"
        if not is_utf8(view.texts + offset, entry.size):
            return "a text of its transform is not UTF-8"
        offset += entry.size
    if offset != view.header.text_bytes:
        return "the entries of its transform do not fill its texts"
    return NULL


cdef inline const char* _check_order(const TransformView* view) noexcept nogil:
    """The entries of each dictionary ascend."""
    cdef uint32_t i, k
    cdef const DictionaryEntry* entry
    for i in range(view.header.dictionaries):
        for k in range(view.dictionaries[i].first + 1, view.dictionaries[i + 1].first):
            entry = view.entries + k
            if compare_texts(
                view.texts + (entry - 1).offset, (entry - 1).size, view.texts + entry.offset, entry.size
            ) >= 0:
                return "a dictionary of its transform is out of order"
    return NULL


cdef inline const char* check_transform(
    const unsigned char* data, Py_ssize_t size, TransformView* view
) noexcept nogil:
    """What is wrong with a block, or NULL; every count is looked at before it is used."""
    cdef const char* problem = _check_counts(data, size)
    if problem == NULL and lay_transform(data, view) != size:
        problem = "its transform does not fill it"
    if problem == NULL:
        problem = _check_steps(view)
    if problem == NULL:
        problem = _check_features(view)
    if problem == NULL:
        problem = _check_dictionaries(view)
    if problem == NULL:
        problem = _check_order(view)
    return problem
