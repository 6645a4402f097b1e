from libc.stdint cimport uint64_t

cdef enum:
    # As in `croupier.latencies`; tests compare the two.
    PER_OCTAVE = 4
    FIRST_OCTAVE = -13
    OCTAVES = 18
    BUCKETS = OCTAVES * PER_OCTAVE + 2


cdef struct Tally:
    uint64_t requests
    uint64_t refused
    uint64_t failed
    uint64_t cold
    uint64_t retried
    uint64_t slow
    uint64_t buckets[BUCKETS]
    # Of whom else was counted in this row before, so that a number names one of them.
    uint64_t admission
    double since
    # Requests that were counted, or estimated, when the younger and the older period began.
    long long young
    long long old
