"""What is no model that can be packed is called what it is, with what to do instead."""

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from typing import Any

import joblib
import lightgbm
import numpy as np
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression
from support.forests import data
from support.graphs import matmul

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.files import FileKind, told_by
from croupier.artifacts.packers.forest import pack_xgboost

X = data(1, rows=60)
Y = X[:, 0].copy()
MODEL = LinearRegression().fit(X, X[:, 0])


def dumped(compress: Any) -> bytes:
    stream = io.BytesIO()
    joblib.dump(MODEL, stream, compress=compress)
    return stream.getvalue()


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return stream.getvalue()


def arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, X)
    return stream.getvalue()


# XGBoost's binary file of before 1.0: 136 bytes of numbers, and texts with their lengths.
OLD = struct.pack("<f3I", 0.5, 6, 0, 0).ljust(136, b"\0")
OLD += b"".join(struct.pack("<Q", len(text)) + text for text in (b"reg:squarederror", b"gbtree"))
SAFETENSORS = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'

FILES: list[tuple[str, bytes, str]] = [
    *((f"pickle {number}", pickle.dumps(MODEL, number), "a pickle, .*process that") for number in range(6)),
    ("a pickled dict", pickle.dumps({}, 0), "a pickle"),
    ("joblib", dumped(0), "a pickle"),
    ("joblib zlib", dumped(3), "by zlib.* by joblib"),
    ("joblib gzip", dumped(("gzip", 3)), "by gzip.* by joblib"),
    ("joblib bz2", dumped(("bz2", 3)), "by bzip2"),
    ("joblib xz", dumped(("xz", 3)), "by xz or lzma"),
    ("joblib lzma", dumped(("lzma", 3)), "by xz or lzma"),
    ("gzip", gzip.compress(matmul()), "by gzip: unpack it first"),
    ("zlib", zlib.compress(matmul(), 9), "by zlib"),
    ("zstd", b"\x28\xb5\x2f\xfd\0\0", "Zstandard"),
    ("zip", archive("model.onnx"), "a zip archive"),
    ("empty zip", archive(), "a zip archive"),
    ("torch", archive("archive/data.pkl", "archive/version"), "PyTorch"),
    ("keras", archive("metadata.json", "config.json", "model.weights.h5"), "Keras's archive"),
    ("hdf5", b"\x89HDF\r\n\x1a\n\0\0\0", "HDF5"),
    ("npz", arrays(), "NumPy's archive"),
    ("npy", b"\x93NUMPY\x01\0", "a NumPy array"),
    ("safetensors", struct.pack("<Q", len(SAFETENSORS)) + SAFETENSORS + bytes(4), "safetensors"),
    ("parquet", b"PAR1\x15\x04", "a table"),
    ("tar", b"model.onnx".ljust(257, b"\0") + b"ustar\0", "a tar archive"),
    (
        "lfs",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        "Git LFS.* git lfs pull",
    ),
    ("dvc", b"outs:\n- md5: a304afb96060aad90176268345e10355\n  path: m\n", "DVC"),
    ("annex", b"/annex/objects/SHA256E-s123--4d7a.onnx\n", "git-annex"),
    ("pmml", b'<?xml version="1.0"?>\n<!-- by -->\n<PMML version="4.4">', "PMML"),
    ("xml", b'<?xml version="1.0"?><a/>', "XML"),
    ("html", b"\n<!DOCTYPE html>\n<html>", "a web page"),
    ("catboost", b"CBM1\x10\0\0\0", "CatBoost.* as ONNX"),
    ("old xgboost", OLD, "old binary file.*\\.ubj"),
    ("binf", b"binf" + OLD, "old binary file"),
    ("dump", "\n".join(["booster[0]:", "0:leaf=1"]).encode(), "dump of its trees"),
    ("json dump", b'[\n  { "nodeid": 0, "leaf": 1 }]', "dump of its trees"),
    ("mark", b"\xef\xbb\xbf" + b'{"learner": {}}', "byte order mark"),
    ("utf-16", "tree\nversion=v4".encode("utf-16"), "byte order mark"),
    ("csv", b"age,income\n1,2\n", "this is text.*'age,income'"),
    ("cut text", "é".encode() * 3000, "this is text"),
    ("empty", b"", "an empty file"),
]


@pytest.mark.parametrize(("content", "said"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_file_is_called_what_it_is(content: bytes, said: str) -> None:
    with pytest.raises(InvalidArtifact, match=said):
        told_by(content)


LIGHTGBM = lightgbm.train({"num_threads": 1, "verbose": -1}, lightgbm.Dataset(X, Y), 1)
XGBOOST = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, X[:, 0]), 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"features_info": {}, "model_info": {}, "oblivious_trees": []}, "CatBoost's JSON"),
        (LIGHTGBM.dump_model(), "LightGBM's dump"),
        ({"error": "not found"}, "no model of XGBoost's"),
        (json.loads(XGBOOST.save_config()), "no model"),
    ],
)
def test_json_is_called_what_it_is(content: Any, said: str) -> None:
    with pytest.raises(InvalidArtifact, match=said):
        pack_xgboost(json.dumps(content).encode())


@pytest.mark.parametrize(
    "content",
    [
        matmul(),
        to_onnx(MODEL, X[:1]).SerializeToString(),
        b"\x08\x0a",
        b"\x12\x03abc\x08\x0a",
        bytes(range(99)),
    ],
)
def test_what_may_be_onnx_is_left_to_onnx(content: bytes) -> None:
    assert told_by(content) is FileKind.ONNX
