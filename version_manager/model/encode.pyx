"""Models as the bytes that a watcher is sent, written and joined: `encoded` reads them.

Equal models have the same bytes, which are what protobuf makes of them, but for the order of labels.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from croupier.buffers cimport filled, unfilled
from croupier.fields cimport I64, VARINT, put_head, put_varint, record_size, varint_size
from protos.numbers cimport (
    Chunk_models,
    Comparison_difference,
    Comparison_library,
    Comparison_made,
    Comparison_sample,
    Comparison_version,
    Delta_models,
    LabelsEntry_key,
    LabelsEntry_value,
    Model_name,
    Model_release,
    Model_tenant,
    Model_versions,
    Range_end,
    Range_version,
    Release_at,
    Release_author,
    Release_labels,
    Release_number,
    Release_ranges,
    Release_reason,
    Release_restores,
    Release_salt,
    Release_splits,
    Split_basis_points,
    Split_version,
    Version_artifact,
    Version_checked,
    Version_created,
    Version_engine,
    Version_number,
    Version_size,
    WatchEvent_chunk,
    WatchEvent_delta,
)


def write_model(model):
    """The record that says `model`; equal ones have the same."""
    cdef list parts = [_said(Model_tenant, model.tenant.encode()), _said(Model_name, model.name.encode())]
    for _, version in sorted(model.versions.items()):
        parts.append(piece(Model_versions, _version_record(version)))
    if model.release is not None:
        parts.append(piece(Model_release, _release_record(model.release)))
    return b"".join(parts)


def chunk_event(list records not None):
    """A WatchEvent with a chunk of these models."""
    cdef Py_ssize_t size = _models_size(records)
    cdef bytes event = unfilled(record_size(size))
    cdef uint8_t* out = put_head(<uint8_t*>PyBytes_AS_STRING(event), size, WatchEvent_chunk)
    return filled(event, _put_models(out, records, Chunk_models))


def delta_event(bytes others not None, list records not None):
    """A WatchEvent with a delta of these models, behind its `others`, which are encoded."""
    cdef Py_ssize_t first = PyBytes_GET_SIZE(others), size = first + _models_size(records)
    cdef bytes event = unfilled(record_size(size))
    cdef uint8_t* out = put_head(<uint8_t*>PyBytes_AS_STRING(event), size, WatchEvent_delta)
    memcpy(out, PyBytes_AS_STRING(others), first)
    return filled(event, _put_models(out + first, records, Delta_models))


cdef bytes _version_record(version):
    return b"".join((
        _number(Version_number, version.number),
        _said(Version_artifact, version.artifact),
        _number(Version_size, version.size),
        _said(Version_engine, version.engine.encode()),
        _real(Version_created, version.created),
        b"" if version.checked is None else piece(Version_checked, _checked_record(version.checked)),
    ))


cdef bytes _checked_record(checked):
    return b"".join((
        _said(Comparison_library, checked.library.encode()),
        _said(Comparison_version, checked.version.encode()),
        _number(Comparison_sample, checked.sample),
        _number(Comparison_made, checked.made),
        _real(Comparison_difference, checked.difference),
    ))


cdef bytes _release_record(release):
    cdef list parts = [_number(Release_number, release.number)]
    for split in release.splits:
        said = _number(Split_version, split.version) + _number(Split_basis_points, split.basis_points)
        parts.append(piece(Release_splits, said))
    for label, version in sorted(release.labels.items()):
        # An entry of a map says its key and its value whatever they are.
        said = piece(LabelsEntry_key, label.encode()) + _always(LabelsEntry_value, version)
        parts.append(piece(Release_labels, said))
    parts.append(_said(Release_salt, release.salt.encode()))
    for one in release.ranges:
        parts.append(piece(Release_ranges, _number(Range_end, one.end) + _number(Range_version, one.version)))
    parts += (
        _said(Release_author, release.author.encode()),
        _said(Release_reason, release.reason.encode()),
        _real(Release_at, release.at),
        _number(Release_restores, release.restores),
    )
    return b"".join(parts)


cdef bytes _said(int number, bytes value):
    """A field with `value`; nothing for an empty one."""
    return piece(number, value) if value else b""


cdef bytes piece(int number, bytes value):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef bytes piece = unfilled(record_size(size))
    cdef uint8_t* out = put_head(<uint8_t*>PyBytes_AS_STRING(piece), size, number)
    memcpy(out, PyBytes_AS_STRING(value), size)
    return filled(piece, out + size)


cdef bytes _number(int number, uint64_t value):
    return _always(number, value) if value else b""


cdef bytes _always(int number, uint64_t value):
    cdef bytes piece = unfilled(1 + varint_size(value))
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(piece)
    out[0] = number << 3 | VARINT
    return filled(piece, put_varint(out + 1, value))


cdef bytes _real(int number, double value):
    cdef uint64_t bits
    cdef uint8_t out[9]
    memcpy(&bits, &value, sizeof(bits))
    # A zero with a sign is said.
    if not bits:
        return b""
    out[0] = number << 3 | I64
    memcpy(out + 1, &value, sizeof(value))
    return PyBytes_FromStringAndSize(<const char*>out, 9)


cdef Py_ssize_t _models_size(list records) except -1:
    cdef Py_ssize_t size = 0
    cdef bytes record
    for record in records:
        if record is None:
            # Which Cython takes for any type.
            raise TypeError("a record is None")
        size += record_size(PyBytes_GET_SIZE(record))
    return size


cdef uint8_t* _put_models(uint8_t* out, list records, int number) noexcept:
    cdef bytes record
    cdef Py_ssize_t size
    for record in records:
        size = PyBytes_GET_SIZE(record)
        out = put_head(out, size, number)
        memcpy(out, PyBytes_AS_STRING(record), size)
        out += size
    return out
