"""A model from its bytes, which `encode` writes.

A name that comes again, a message in two parts and fields that nobody knows mean here what they mean to
protobuf's library (tests/fuzz/models.py compares), and what it refuses is refused.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from croupier.fields cimport I64, LEN, VARINT, Cursor, Field, bytes_of, cursor_of, next_field
from protos.numbers cimport (
    Comparison_difference,
    Comparison_library,
    Comparison_made,
    Comparison_sample,
    Comparison_version,
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
    Release_revision,
    Release_salt,
    Release_splits,
    Split_basis_points,
    Split_version,
    Version_artifact,
    Version_checked,
    Version_created,
    Version_engine,
    Version_number,
    Version_revision,
    Version_size,
)

from croupier.artifacts.comparison import Comparison
from croupier.fields import MalformedMessage
from version_manager.model.release import Model, Range, Release, Split, Version

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)
    # Sets what a frozen class lets nobody set.
    int PyObject_GenericSetAttr(object of, object name, object value) except -1

cdef object _new = object.__new__


def read_model(bytes record not None):
    """The model that `record` says.

    Raises:
        MalformedMessage: it is no message.
        InvalidComparison: what a version was compared with makes no sense.
    """
    cdef Cursor cursor = cursor_of(record)
    cdef Field field
    cdef str tenant = "", name = ""
    cdef dict versions = {}
    cdef _Release release = None
    while next_field(&cursor, &field):
        if field.kind != LEN:
            continue
        if field.number == Model_tenant:
            tenant = text_of(&field)
        elif field.number == Model_name:
            name = text_of(&field)
        elif field.number == Model_versions:
            version = _version(&field)
            versions[version.number] = version
        elif field.number == Model_release:
            if release is None:
                release = _Release()
            release.read(&field)
    return _model(tenant, name, versions, None if release is None else release.made())


cdef str text_of(Field* field):
    try:
        return PyUnicode_DecodeUTF8(<const char*>field.data, field.size, NULL)
    except UnicodeDecodeError:
        raise MalformedMessage from None


cdef object _model(str tenant, str name, dict versions, release):
    model = _new(Model)
    PyObject_GenericSetAttr(model, "tenant", tenant)
    PyObject_GenericSetAttr(model, "name", name)
    PyObject_GenericSetAttr(model, "versions", versions)
    PyObject_GenericSetAttr(model, "release", release)
    return model


cdef object _version(Field* message):
    cdef Cursor cursor = Cursor(message.data, message.data + message.size)
    cdef Field field
    cdef uint64_t number = 0, size = 0
    cdef double created = 0.0
    cdef bytes artifact = b""
    cdef str engine = ""
    cdef _Checked checked = None
    while next_field(&cursor, &field):
        if field.kind == VARINT:
            if field.number == Version_number:
                number = field.number_value
            elif field.number == Version_size:
                size = field.number_value
        elif field.kind == I64 and field.number == Version_created:
            memcpy(&created, field.data, sizeof(created))
        elif field.kind == LEN:
            if field.number == Version_artifact:
                artifact = bytes_of(&field)
            elif field.number == Version_engine:
                engine = text_of(&field)
            elif field.number == Version_revision:
                text_of(&field)
            elif field.number == Version_checked:
                if checked is None:
                    checked = _Checked()
                checked.read(&field)
    version = _new(Version)
    PyObject_GenericSetAttr(version, "number", number)
    PyObject_GenericSetAttr(version, "artifact", artifact)
    PyObject_GenericSetAttr(version, "size", size)
    PyObject_GenericSetAttr(version, "engine", engine)
    PyObject_GenericSetAttr(version, "created", created)
    PyObject_GenericSetAttr(version, "checked", None if checked is None else checked.made())
    return version


cdef class _Checked:
    """A comparison, whose message may come in several parts."""

    cdef str library
    cdef str version
    cdef uint64_t sample
    cdef uint64_t made_rows
    cdef double difference

    def __cinit__(self):
        self.library = self.version = ""

    cdef int read(self, Field* message) except -1:
        cdef Cursor cursor = Cursor(message.data, message.data + message.size)
        cdef Field field
        while next_field(&cursor, &field):
            if field.kind == LEN:
                if field.number == Comparison_library:
                    self.library = text_of(&field)
                elif field.number == Comparison_version:
                    self.version = text_of(&field)
            elif field.kind == VARINT:
                if field.number == Comparison_sample:
                    self.sample = field.number_value
                elif field.number == Comparison_made:
                    self.made_rows = field.number_value
            elif field.kind == I64 and field.number == Comparison_difference:
                memcpy(&self.difference, field.data, sizeof(self.difference))
        return 0

    cdef object made(self):
        return Comparison(self.library, self.version, self.sample, self.made_rows, self.difference)


cdef class _Release:
    """A release, whose message may come in several parts."""

    cdef uint64_t number
    cdef uint64_t restores
    cdef list splits
    cdef list ranges
    cdef dict labels
    cdef str salt
    cdef str author
    cdef str reason
    cdef double at

    def __cinit__(self):
        self.splits, self.ranges, self.labels = [], [], {}
        self.salt = self.author = self.reason = ""

    cdef int read(self, Field* message) except -1:
        cdef Cursor cursor = Cursor(message.data, message.data + message.size)
        cdef Field field
        while next_field(&cursor, &field):
            if field.kind == VARINT:
                if field.number == Release_number:
                    self.number = field.number_value
                elif field.number == Release_restores:
                    self.restores = field.number_value
            elif field.kind == LEN:
                self._take(&field)
            elif field.kind == I64 and field.number == Release_at:
                memcpy(&self.at, field.data, sizeof(self.at))
        return 0

    cdef int _take(self, Field* field) except -1:
        if field.number == Release_splits:
            self.splits.append(_split(field))
        elif field.number == Release_labels:
            self._label(field)
        elif field.number == Release_ranges:
            self.ranges.append(_range(field))
        elif field.number == Release_salt:
            self.salt = text_of(field)
        elif field.number == Release_author:
            self.author = text_of(field)
        elif field.number == Release_reason:
            self.reason = text_of(field)
        elif field.number == Release_revision:
            text_of(field)
        return 0

    cdef int _label(self, Field* message) except -1:
        cdef Cursor cursor = Cursor(message.data, message.data + message.size)
        cdef Field field
        cdef str label = ""
        cdef uint64_t version = 0
        cdef bint is_known = True
        while next_field(&cursor, &field):
            if field.kind == LEN and field.number == LabelsEntry_key:
                label = text_of(&field)
            elif field.kind == VARINT and field.number == LabelsEntry_value:
                version = field.number_value
            else:
                # protobuf's library passes over an entry that has anything else.
                is_known = False
        if is_known:
            self.labels[label] = version
        return 0

    cdef object made(self):
        release = _new(Release)
        PyObject_GenericSetAttr(release, "number", self.number)
        PyObject_GenericSetAttr(release, "splits", tuple(self.splits))
        PyObject_GenericSetAttr(release, "labels", self.labels)
        PyObject_GenericSetAttr(release, "salt", self.salt)
        PyObject_GenericSetAttr(release, "ranges", tuple(self.ranges))
        PyObject_GenericSetAttr(release, "author", self.author)
        PyObject_GenericSetAttr(release, "reason", self.reason)
        PyObject_GenericSetAttr(release, "at", self.at)
        PyObject_GenericSetAttr(release, "restores", self.restores)
        return release


cdef object _range(Field* message):
    cdef Cursor cursor = Cursor(message.data, message.data + message.size)
    cdef Field field
    cdef uint64_t version = 0
    cdef uint32_t end = 0
    while next_field(&cursor, &field):
        if field.kind == VARINT:
            if field.number == Range_version:
                version = field.number_value
            elif field.number == Range_end:
                end = <uint32_t>field.number_value
    found = _new(Range)
    PyObject_GenericSetAttr(found, "end", end)
    PyObject_GenericSetAttr(found, "version", version)
    return found


cdef object _split(Field* message):
    cdef Cursor cursor = Cursor(message.data, message.data + message.size)
    cdef Field field
    cdef uint64_t version = 0
    cdef uint32_t basis_points = 0
    while next_field(&cursor, &field):
        if field.kind == VARINT:
            if field.number == Split_version:
                version = field.number_value
            elif field.number == Split_basis_points:
                basis_points = <uint32_t>field.number_value
    split = _new(Split)
    PyObject_GenericSetAttr(split, "version", version)
    PyObject_GenericSetAttr(split, "basis_points", basis_points)
    return split
