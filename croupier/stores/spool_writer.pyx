"""Appends records to mapped segments of the spool, without a system call, a lock or a wait.

    spare ──▶ current ──▶ retired      a thread prepares spares and unmaps what is retired (`spool_folder`)
                │
                ▼ append: 16 bytes of frame │ what the record says │ zeros up to 8 bytes

How a record lies stands in `spool.py`, which reads it; `tests/support/spool_twin.py` writes the same in
plain Python. The pages are the kernel's, so that what was stored survives every end of the process. A
record's size is stored last: until then a reader meets 0 there, which is the end. So a process that is killed
at any byte leaves whole records and nothing else.

What does not fit where no spare is ready is dropped and counted, in the segment too: requests wait for no
disk.

The checksum is CRC-32C, for which processors have an instruction: a record of 400 bytes is then a matter of
copying it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <time.h>

    static uint32_t spool_table[256];

    static void spool_fill_table(void) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0x82F63B78u : value >> 1;
            spool_table[i] = value;
        }
    }
    static uint32_t spool_crc_plain(uint32_t crc, const uint8_t *data, size_t size) {
        while (size--) crc = crc >> 8 ^ spool_table[(crc ^ *data++) & 255];
        return crc;
    }
    #if defined(__x86_64__)
    __attribute__((target("sse4.2")))
    static uint32_t spool_crc_fast(uint32_t crc, const uint8_t *data, size_t size) {
        uint64_t wide = crc, eight;
        for (; size >= 8; size -= 8, data += 8) {
            memcpy(&eight, data, 8);
            wide = __builtin_ia32_crc32di(wide, eight);
        }
        crc = (uint32_t)wide;
        while (size--) crc = __builtin_ia32_crc32qi(crc, *data++);
        return crc;
    }
    static int spool_is_fast(void) { return __builtin_cpu_supports("sse4.2"); }
    #elif defined(__ARM_FEATURE_CRC32)
    #include <arm_acle.h>
    static uint32_t spool_crc_fast(uint32_t crc, const uint8_t *data, size_t size) {
        uint64_t eight;
        for (; size >= 8; size -= 8, data += 8) {
            memcpy(&eight, data, 8);
            crc = __crc32cd(crc, eight);
        }
        while (size--) crc = __crc32cb(crc, *data++);
        return crc;
    }
    static int spool_is_fast(void) { return 1; }
    #else
    static uint32_t spool_crc_fast(uint32_t crc, const uint8_t *data, size_t size) {
        return spool_crc_plain(crc, data, size);
    }
    static int spool_is_fast(void) { return 0; }
    #endif

    static void *spool_map(int file, size_t size) {
        void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (base == MAP_FAILED) return NULL;
    #ifdef MADV_POPULATE_WRITE
        /* Or the first store into every page would be a fault. A kernel without it serves as well. */
        (void)madvise(base, size, MADV_POPULATE_WRITE);
    #else
        (void)madvise(base, size, 23);
    #endif
        return base;
    }
    static void spool_unmap(void *base, size_t size) { munmap(base, size); }
    static void spool_store_last(uint32_t *place, uint32_t value) {
        __atomic_store_n(place, value, __ATOMIC_RELEASE);
    }
    /* Have the processor fetch where the next record goes: no cache holds that any more. */
    static void spool_expect(const uint8_t *at) {
        for (int i = 0; i < 768; i += 64) __builtin_prefetch(at + i, 1);
    }
    static int64_t spool_now_us(void) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    }
    """
    void spool_fill_table()
    uint32_t spool_crc_plain(uint32_t crc, const uint8_t* data, size_t size) nogil
    uint32_t spool_crc_fast(uint32_t crc, const uint8_t* data, size_t size) nogil
    bint spool_is_fast()
    void* spool_map(int file, size_t size) nogil
    void spool_unmap(void* base, size_t size) nogil
    void spool_store_last(uint32_t* place, uint32_t value) nogil
    int64_t spool_now_us() nogil
    void spool_expect(const uint8_t* at) nogil

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    MOST_TEXT = 65535
    FORM = 1

# What a segment begins with; little-endian, as the machine is.
cdef struct Header:
    char magic[8]
    uint64_t size
    uint64_t number
    # The sequence number of its first record.
    uint64_t first
    # What this writer dropped until then, or until now in the last segment.
    uint64_t dropped
    uint32_t is_closed
    uint32_t crc
    char spare[16]

cdef struct Head:
    uint8_t form
    uint8_t kind
    uint8_t flags
    uint8_t spare
    uint32_t item
    int64_t time_us
    uint64_t version
    uint64_t number
    uint32_t took_us
    uint16_t request_id
    uint16_t tenant
    uint16_t model
    uint16_t family
    uint16_t shadow_of
    uint16_t artifact
    uint32_t rule
    uint32_t request
    uint32_t shared
    uint32_t added
    uint32_t reply
    uint32_t unused

# What is the same in each record of a version, before its text: model, family, shadow of, artifact, rule.
cdef struct Line:
    uint64_t version
    uint64_t number
    uint16_t model
    uint16_t family
    uint16_t shadow_of
    uint16_t artifact
    uint32_t rule

HEADER_BYTES = sizeof(Header)
FRAME_BYTES = sizeof(Frame)
HEAD_BYTES = sizeof(Head)

spool_fill_table()
cdef bint _is_fast = spool_is_fast()


cdef uint32_t _crc(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    if _is_fast:
        return ~spool_crc_fast(0xFFFFFFFFU, data, size)
    return ~spool_crc_plain(0xFFFFFFFFU, data, size)


def crc32c(const uint8_t[::1] data not None, bint plain=False):
    """CRC-32C (RFC 3720) of `data`; `plain`, as where the processor has no instruction for it."""
    cdef Py_ssize_t size = data.shape[0]
    cdef const uint8_t* at = &data[0] if size else NULL
    if plain:
        return ~spool_crc_plain(0xFFFFFFFFU, at, size) & 0xFFFFFFFFU
    return _crc(at, size)


cdef bytes line_of(
    uint64_t version, uint64_t number, str model, str family, str shadow_of, bytes artifact, bytes rule
):
    """What all records of a version say, in one piece: `put` copies it, and looks at no other object."""
    cdef bytes models = model.encode(), families = family.encode(), shadows = shadow_of.encode()
    cdef Line line
    if max(map(len, (models, families, shadows, artifact))) > MOST_TEXT:
        raise ValueError("a name is too long for a record")
    memset(&line, 0, sizeof(Line))
    line.version, line.number, line.rule = version, number, len(rule)
    line.model, line.family, line.shadow_of, line.artifact = (
        len(models), len(families), len(shadows), len(artifact)
    )
    return (<char*>&line)[:sizeof(Line)] + models + families + shadows + artifact + rule


@cython.final
cdef class Appender:
    """Writes into segments of `segment_size` bytes, files of zeros that it is given.

    `full` is called when a spare became the current segment, from the thread that appends.
    """

    def __init__(self, Py_ssize_t segment_size, full):
        if segment_size < 4096 or segment_size >> 31:
            raise ValueError("a segment has from 4 KiB to 2 GiB")
        self.segment_size, self._full = segment_size, full

    def __dealloc__(self):
        self._unmap(self._base)
        self._unmap(self._spare)
        self._unmap(self._retired)

    cdef _unmap(self, uint8_t* base):
        if base != NULL:
            spool_unmap(base, self.segment_size)

    @property
    def has_spare(self):
        return self._spare != NULL

    def give(self, int file, uint64_t number):
        """Have segment `number` in `file` for a spare, or for the current one if there is none.

        Raises:
            OSError: it cannot be mapped.
        """
        cdef uint8_t* base
        cdef Py_ssize_t size = self.segment_size
        with nogil:
            base = <uint8_t*>spool_map(file, size)
        if base == NULL:
            raise OSError("the segment cannot be mapped")
        if self._spare != NULL:
            spool_unmap(base, size)
            raise ValueError("there is a spare")
        self._spare_number = number
        self._spare = base
        if self._base == NULL:
            self._turn()

    def let_go(self):
        """Unmap what is full. It may take a while, and any thread may do it."""
        cdef uint8_t* base = self._retired
        cdef Py_ssize_t size = self.segment_size
        self._retired = NULL
        if base != NULL:
            with nogil:
                spool_unmap(base, size)

    def close(self):
        """Say in the current segment that nothing more comes, and drop what does."""
        if self._base != NULL:
            (<Header*>self._base).is_closed = 1
        self._unmap(self._base)
        self._unmap(self._spare)
        self._unmap(self._retired)
        self._base = self._spare = self._retired = NULL

    def append(
        self,
        *,
        int kind,
        int flags,
        uint32_t item,
        int64_t time_us,
        uint64_t version,
        uint64_t number,
        uint32_t took_us,
        str request_id not None,
        str tenant not None,
        str model not None,
        str family not None,
        str shadow_of not None,
        bytes rule not None,
        bytes artifact not None,
        bytes request not None,
        bytes shared not None,
        bytes added not None,
        bytes reply not None,
    ):
        """Append one record; whether there was room. `time_us` 0 is now."""
        cdef const char* at = PyBytes_AS_STRING(request)
        cdef bytes line = line_of(version, number, model, family, shadow_of, artifact, rule)
        return self.put(
            kind, flags, item, time_us, took_us, request_id, tenant, line,
            at, PyBytes_GET_SIZE(request), shared, added, b"", reply,
        )

    cdef bint put(
        self,
        uint8_t kind,
        uint8_t flags,
        uint32_t item,
        int64_t time_us,
        uint32_t took_us,
        str request_id,
        str tenant,
        bytes line,
        const char* request,
        Py_ssize_t request_size,
        bytes shared,
        bytes features,
        bytes fetched,
        bytes reply,
    ) except -1:
        cdef Py_ssize_t ids, tenants
        cdef const char* id_at = PyUnicode_AsUTF8AndSize(request_id, &ids)
        cdef const char* tenant_at = PyUnicode_AsUTF8AndSize(tenant, &tenants)
        cdef const Line* said = <const Line*>PyBytes_AS_STRING(line)
        cdef Py_ssize_t text = PyBytes_GET_SIZE(line) - <Py_ssize_t>sizeof(Line)
        cdef Py_ssize_t shared_size = PyBytes_GET_SIZE(shared), features_size = PyBytes_GET_SIZE(features)
        cdef Py_ssize_t fetched_size = PyBytes_GET_SIZE(fetched), reply_size = PyBytes_GET_SIZE(reply)
        cdef Py_ssize_t size = (
            <Py_ssize_t>sizeof(Head) + ids + tenants + text
            + request_size + shared_size + features_size + fetched_size + reply_size
        )
        if max(ids, tenants) > MOST_TEXT:
            raise ValueError("a name is too long for a record")
        cdef uint8_t* frame = self._room(size)
        if frame == NULL:
            return False
        cdef Head* head = <Head*>(frame + sizeof(Frame))
        head.form, head.kind, head.flags, head.spare, head.item = FORM, kind, flags, 0, item
        head.time_us = time_us if time_us else spool_now_us()
        head.version, head.number, head.took_us = said.version, said.number, took_us
        head.request_id, head.tenant, head.model, head.family = ids, tenants, said.model, said.family
        head.shadow_of, head.artifact = said.shadow_of, said.artifact
        head.rule, head.request, head.shared = said.rule, request_size, shared_size
        head.added, head.reply, head.unused = features_size + fetched_size, reply_size, 0
        cdef uint8_t* out = <uint8_t*>(head + 1)
        out = _copy(out, id_at, ids)
        out = _copy(out, tenant_at, tenants)
        out = _copy(out, <const char*>(said + 1), text)
        out = _copy(out, request, request_size)
        out = _copy(out, PyBytes_AS_STRING(shared), shared_size)
        out = _copy(out, PyBytes_AS_STRING(features), features_size)
        out = _copy(out, PyBytes_AS_STRING(fetched), fetched_size)
        _copy(out, PyBytes_AS_STRING(reply), reply_size)
        self._seal(<Frame*>frame, size)
        return True

    cdef void _seal(self, Frame* frame, Py_ssize_t size) noexcept nogil:
        """Let readers see the record."""
        frame.sequence = self.kept
        frame.crc = _crc(<uint8_t*>&frame.sequence, <Py_ssize_t>sizeof(uint64_t) + size)
        self.kept += 1
        self._at += _padded(size)
        spool_store_last(&frame.size, size)
        spool_expect(self._base + self._at)

    cdef uint8_t* _room(self, Py_ssize_t size) except? NULL:
        """Where a record of `size` bytes goes; NULL if it is dropped."""
        if _padded(size) > self.segment_size - <Py_ssize_t>sizeof(Header):
            return self._drop()
        if self._base == NULL or self._at + _padded(size) > self.segment_size:
            # One that is still to be unmapped is in the way: the thread lags, and so does the disk.
            if self._spare == NULL or self._retired != NULL:
                return self._drop()
            self._turn()
        return self._base + self._at

    cdef uint8_t* _drop(self) noexcept:
        self.dropped += 1
        if self._base != NULL:
            (<Header*>self._base).dropped = self.dropped
        return NULL

    cdef _turn(self):
        """Have the spare for the current segment."""
        cdef Header header
        memset(&header, 0, sizeof(Header))
        memcpy(header.magic, b"CRSPOOL1", 8)
        header.size, header.number = self.segment_size, self._spare_number
        header.first, header.dropped = self.kept, self.dropped
        header.crc = _crc(<uint8_t*>&header, 32)
        memcpy(self._spare, &header, sizeof(Header))
        if self._base != NULL:
            (<Header*>self._base).is_closed = 1
        self._retired, self._base, self._spare = self._base, self._spare, NULL
        self._at, self.segment = sizeof(Header), self._spare_number
        self._full()


cdef inline Py_ssize_t _padded(Py_ssize_t size) noexcept nogil:
    return (<Py_ssize_t>sizeof(Frame) + size + 7) & ~<Py_ssize_t>7


cdef inline uint8_t* _copy(uint8_t* out, const char* data, Py_ssize_t size) noexcept nogil:
    memcpy(out, data, size)
    return out + size
