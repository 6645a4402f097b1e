"""Models as the bytes that a watcher is sent, which is how a catalog holds them: a `Model` each, its record.

What protobuf makes of such bytes takes longer to build, and the collector has to look at all of it. So a
model is read (`decode`) when somebody asks for it; here is what needs no more than a glance at its fields.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from croupier.fields cimport I64, LEN, VARINT, Cursor, Field, bytes_of, cursor_of, next_field
from protos.numbers cimport (
    Chunk_models,
    Model_name,
    Model_release,
    Model_tenant,
    Model_versions,
    Release_at,
    Release_author,
    Release_reason,
    Release_restores,
    Version_checked,
    WatchEvent_chunk,
)
from version_manager.model.decode cimport text_of
from version_manager.model.encode cimport piece


cdef struct Names:
    Field tenant
    Field name


def names_of(bytes record not None):
    """Tenant and name of the model in `record`. Raises MalformedMessage."""
    cdef Names names
    _read_names(record, &names)
    return text_of(&names.tenant), text_of(&names.name)


def told(bytes record not None):
    """`record` without what operators alone are told: what versions were compared with, who released and why.

    Raises:
        MalformedMessage: it is no message.
    """
    cdef Cursor cursor = cursor_of(record)
    cdef Field field
    cdef const uint8_t* begin = cursor.at
    cdef list parts = []
    if not _has_more(cursor):
        return record
    while next_field(&cursor, &field):
        if field.kind == LEN and (field.number == Model_versions or field.number == Model_release):
            parts.append(piece(field.number, _told_part(field.number, &field)))
        else:
            parts.append(PyBytes_FromStringAndSize(<const char*>begin, cursor.at - begin))
        begin = cursor.at
    return b"".join(parts)


def chunk_models(bytes event not None):
    """The records of a WatchEvent that has a chunk of models and nothing else; None for any other.

    Raises:
        MalformedMessage
    """
    cdef Cursor cursor = cursor_of(event)
    cdef Field field
    cdef list found = []
    if not next_field(&cursor, &field) or cursor.at != cursor.end:
        return None
    if field.kind != LEN or field.number != WatchEvent_chunk:
        return None
    cursor = Cursor(field.data, field.data + field.size)
    while next_field(&cursor, &field):
        if field.kind != LEN or field.number != Chunk_models:
            return None
        found.append(bytes_of(&field))
    return found or None


def put_all(list buckets not None, set own not None, list records not None):
    """Put each record into the bucket of its tenant, by its key; returns how many were not there before.

    A bucket whose number is not among `own` is copied first.

    Raises:
        MalformedMessage: a record is no message; those before it lie there.
    """
    cdef Names names
    cdef Py_ssize_t new = 0, before, number
    cdef dict bucket
    cdef bytes record
    for record in records:
        if record is None:
            # Which Cython takes for any type.
            raise TypeError("a record is None")
        _read_names(record, &names)
        number = bucket_of(text_of(&names.tenant), len(buckets))
        if number not in own:
            buckets[number] = dict(buckets[number])
            own.add(number)
        bucket = buckets[number]
        before = len(bucket)
        bucket[_key(&names)] = record
        new += len(bucket) - before
    return new


cpdef Py_ssize_t bucket_of(str tenant, Py_ssize_t buckets):
    """Which of so many buckets has the models of `tenant`."""
    return <uint64_t><int64_t>hash(tenant) % <uint64_t>buckets


cdef int _read_names(bytes record, Names* names) except -1:
    """Raises MalformedMessage."""
    cdef Cursor cursor = cursor_of(record)
    cdef Field field
    names.tenant.size = names.name.size = 0
    names.tenant.data = names.name.data = cursor.at
    while next_field(&cursor, &field):
        if field.kind == LEN and field.number == Model_tenant:
            names.tenant = field
        elif field.kind == LEN and field.number == Model_name:
            names.name = field
    return 0


cdef str _key(Names* names):
    return f"{text_of(&names.tenant)}/{text_of(&names.name)}"


cdef bint _has_more(Cursor cursor) except -1:
    """Whether the model has anything that watchers are not told."""
    cdef Cursor inner
    cdef Field field, part
    while next_field(&cursor, &field):
        if field.kind == LEN and (field.number == Model_versions or field.number == Model_release):
            inner = Cursor(field.data, field.data + field.size)
            while next_field(&inner, &part):
                if _is_untold(field.number, &part):
                    return True
    return False


cdef bint _is_untold(uint32_t around, Field* field) noexcept nogil:
    """Whether watchers are not told this field of a version or release, as which the model has it."""
    if around == Model_versions:
        return field.kind == LEN and field.number == Version_checked
    if field.kind == LEN:
        return field.number == Release_author or field.number == Release_reason
    if field.kind == VARINT:
        return field.number == Release_restores
    return field.kind == I64 and field.number == Release_at


cdef bytes _told_part(uint32_t around, Field* message):
    cdef Cursor cursor = Cursor(message.data, message.data + message.size)
    cdef Field field
    cdef const uint8_t* begin = cursor.at
    cdef list parts = []
    while next_field(&cursor, &field):
        if not _is_untold(around, &field):
            parts.append(PyBytes_FromStringAndSize(<const char*>begin, cursor.at - begin))
        begin = cursor.at
    return b"".join(parts)
