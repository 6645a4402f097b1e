"""A float64 value of a row as a float32 and what is left over, so that it is compared exactly; see
docs/decisions/0023-float64-rows-are-compared-exactly.md.

For a float32 threshold t and any value v, v <= t is `rounded_up(v) <= t`. A threshold x that is no float32 is
kept as `rounded_down(x)` and the remainder above it, in parts of 2**-29 of the step to the next float32. Then
v <= x is decided by the two rounded values, or if they are equal, by the remainder and `residue_of(v)`.
"""

from libc.float cimport FLT_MIN
from libc.math cimport ceil, fabs
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    # Of a remainder: float64 has so many more bits than float32.
    REMAINDER_BITS = 29

cdef extern from *:
    """
    /* Parts of 2**-29 of a step in 1, where float32 values lie 2**-149 apart. */
    #define CROUPIER_PARTS_BELOW_NORMAL 0x1p178
    """
    const double _PARTS "CROUPIER_PARTS_BELOW_NORMAL"


cdef inline float _stepped(float value, int away) noexcept nogil:
    """The float32 next to `value`: of those that lie further from 0 than it, or nearer to it."""
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    bits += away
    memcpy(&value, &bits, 4)
    return value


cdef inline float rounded_up(double value) noexcept nogil:
    """The least float32 that is not below `value`; NaN of NaN."""
    cdef float nearest = <float>value
    if nearest < value:
        return _stepped(nearest, -1 if value < 0.0 else 1)
    return nearest


cdef inline float rounded_down(double value) noexcept nogil:
    """The greatest float32 that is not above `value`; NaN of NaN."""
    cdef float nearest = <float>value
    if nearest > value:
        return _stepped(nearest, 1 if value < 0.0 else -1)
    return nearest


cdef inline uint32_t residue_of(double value, float below) noexcept nogil:
    """How far `value` lies above `below`, to which it was rounded, in parts: at most 2**29, rounded up.

    Rounding up changes no comparison, since remainders are whole. It happens below the normal float32 values
    only, where float64 has more bits than a remainder; elsewhere a part is one step of float64.
    """
    cdef double base = below
    cdef int64_t from_base, steps
    if base == value:
        return 0
    if fabs(value) < FLT_MIN:
        return <uint32_t>(ceil(value * _PARTS) - base * _PARTS)
    memcpy(&from_base, &base, 8)
    memcpy(&steps, &value, 8)
    steps -= from_base
    if value < 0.0:
        steps = -steps
    return <uint32_t>min(steps, <int64_t>1 << REMAINDER_BITS)
