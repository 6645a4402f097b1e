"""The table of tensor datatypes."""

import numpy as np
import pytest

from croupier.artifacts.datatypes import DATATYPES


@pytest.mark.parametrize("name", sorted(DATATYPES))
def test_each_datatype_has_the_width_that_its_name_says(name):
    dtype = DATATYPES[name]
    digits = "".join(filter(str.isdigit, name))
    expected = {"BOOL": 1, "BYTES": np.dtype(object).itemsize}.get(name) or int(digits) // 8
    assert dtype.itemsize == expected


@pytest.mark.parametrize(
    ("prefix", "kind"), [("UINT", "u"), ("INT", "i"), ("FP", "f"), ("BOOL", "b"), ("BYTES", "O")]
)
def test_each_datatype_has_the_kind_that_its_name_says(prefix, kind):
    kinds = {dtype.kind for name, dtype in DATATYPES.items() if name.rstrip("0123456789") == prefix}
    assert kinds == {kind}


def test_numbers_are_little_endian_as_on_the_wire():
    assert {dtype.newbyteorder("<") for dtype in DATATYPES.values()} == set(DATATYPES.values())


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        DATATYPES["FP32"] = np.dtype("<f8")
