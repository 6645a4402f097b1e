from libc.stdint cimport uint8_t

from croupier.fields cimport Text

cdef enum:
    # Native models have two.
    MOST_OUTPUTS = 2

cdef class Plain:
    """What a plain request, or a plain item of one, asks for. The pointers go into `message`."""
    cdef readonly bytes artifact
    cdef readonly Py_ssize_t rows
    # Whose it is; 0 where nobody said.
    cdef readonly unsigned long long owner
    # The shard map that dealt it, by its number; 0 likewise.
    cdef readonly unsigned long long generation
    # What is shed first (`croupier.priorities`), and that nothing is loaded for it; 0 and no likewise.
    cdef readonly unsigned int priority
    cdef readonly bint resident_only
    # What a router fetched for it (`croupier/fetched.py`), NULL without; whether its answer says where each
    # feature came from; and what became of it (`complete.pyx`): what has the values, or fills named ones.
    cdef Text fetched
    cdef bint is_explained
    cdef bint is_completed
    cdef object completion
    cdef Py_ssize_t defaults
    cdef bint is_degraded
    cdef bytes message
    # Values by row, float32 or, as this says, float64; NULL where named features stand in their place.
    cdef const uint8_t* values
    cdef bint is_double
    # Bytes of them, or of the features.
    cdef Py_ssize_t size
    cdef const uint8_t* features
    # Of a ModelInferRequest, which this says it is: what is echoed, the input's name, and values by row.
    cdef bint is_tensor
    cdef Text name
    cdef Text version
    cdef Text id
    cdef Text input
    cdef Py_ssize_t columns
    cdef bint is_raw
    # The outputs that it names; none for all.
    cdef Text outputs[MOST_OUTPUTS]
    cdef int output_count
    cdef int parameter_count
    # Of an item: the version that is echoed.
    cdef unsigned long long number
