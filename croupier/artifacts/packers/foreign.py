"""Files that are taken for models, or are models of another kind, told by their first bytes and called so.

A protobuf message, and so an ONNX file, has no mark of its own: what is not known would be refused as a
broken ONNX model, which tells nobody that an upload was a web page or a pickle was compressed.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from croupier.artifacts.format import InvalidArtifact

# As much of a file as is looked at.
_HEAD = 4096

_IN_PROCESS = "pack the model in the process that trained it, with croupier.artifacts.packers.pack"
_UNPACK = f"unpack it first; or if it was written by joblib, it is a compressed pickle: {_IN_PROCESS}"
_TO_ONNX = "export the model to ONNX"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A file of which the first bytes match is `what`, and `instead` is what to do."""

    mark: re.Pattern[bytes]
    what: str
    instead: str


def _kind(mark: bytes, what: str, instead: str) -> _Kind:
    return _Kind(re.compile(mark, re.DOTALL), what, instead)


# In their order: what is more special comes first.
_KINDS = (
    # PROTO of protocol 2 to 5; older protocols are text, and begin with a class or a container.
    _kind(
        rb"\x80[\x02-\x05]|c[\w.]+\n\w+\n|\((?:dp|lp|i[\w.]+\n)",
        "a pickle, which is code and never opened here",
        _IN_PROCESS,
    ),
    _kind(rb"ZF0x", "a compressed joblib file, which is a pickle and never opened here", _IN_PROCESS),
    _kind(rb"\x1f\x8b", "compressed by gzip", _UNPACK),
    _kind(rb"\x78[\x01\x5e\x9c\xda]", "compressed by zlib", _UNPACK),
    _kind(rb"BZh[1-9]", "compressed by bzip2", _UNPACK),
    _kind(rb"\xfd7zXZ\0|\x5d\0\0", "compressed by xz or lzma", _UNPACK),
    _kind(rb"\x04\x22\x4d\x18", "compressed by lz4", _UNPACK),
    _kind(rb"\x28\xb5\x2f\xfd", "compressed by Zstandard", _UNPACK),
    _kind(
        rb"PK\x03\x04.{26}[^\n]{0,200}/?(?:data\.pkl|\.data/serialization_id|byteorder)",
        "PyTorch's archive of weights",
        f"{_TO_ONNX} (torch.onnx.export)",
    ),
    _kind(
        rb"PK\x03\x04.{26}(?:metadata\.json|config\.json)",
        "Keras's archive",
        f"{_TO_ONNX} (model.export, tf2onnx)",
    ),
    _kind(rb"PK\x03\x04.{26}[^\n]{0,200}\.npy", "NumPy's archive of arrays", "publish the model itself"),
    _kind(rb"PK(?:\x03\x04|\x05\x06)", "a zip archive", "unpack it, and publish the model's file inside"),
    _kind(rb".{257}ustar", "a tar archive", "unpack it, and publish the model's file inside"),
    _kind(
        rb"version https?://git-lfs|version https?://hawser",
        "a pointer of Git LFS, not the file that it points to",
        "fetch it with git lfs pull",
    ),
    _kind(
        rb"(?:\.\./)*/?(?:\.git)?/?annex/objects/",
        "a pointer of git-annex, not the file that it points to",
        "fetch it with git annex get",
    ),
    _kind(
        rb"(?:md5: |outs:\n|[\w: ]{0,80}\n?outs:\n)[- ]",
        "a pointer of DVC, not the file that it points to",
        "fetch it with dvc pull",
    ),
    _kind(
        rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<PMML",
        "PMML",
        "publish the model that it was made of: its own file, or ONNX",
    ),
    _kind(rb"(?:\xef\xbb\xbf)?\s*<(?i:!doctype html|html|head)", "a web page", "download the file itself"),
    _kind(rb"(?:\xef\xbb\xbf)?\s*<\?xml", "XML", "publish the model's own file, or ONNX"),
    _kind(
        rb"CBM1",
        "CatBoost's own file",
        'save the model as ONNX: save_model("model.onnx", format="onnx")',
    ),
    # A binary file of before 1.0 has no mark; all have the objective's name behind 136 bytes or a few more.
    _kind(
        rb"binf|bs64|(?=.{120,220}\0{6}(?:reg|binary|multi|rank|count|survival):\w+)[^{]",
        "XGBoost's old binary file, which newer versions do not read either",
        "load it with an XGBoost before 3.1, and save it as .ubj or .json",
    ),
    _kind(
        rb"booster\[\d+\]|\[\s*\{\s*\"nodeid\"",
        "XGBoost's dump of its trees, which has not all of the model",
        "save it with save_model, as .ubj or .json",
    ),
    _kind(rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them", f"{_TO_ONNX} (tf2onnx)"),
    _kind(rb".{4}TFL3", "a TensorFlow Lite file", f"{_TO_ONNX} (tf2onnx)"),
    _kind(rb"[^\0]{1,3}\0{5,7}\{\"", "a safetensors file of weights", f"{_TO_ONNX} (torch.onnx.export)"),
    _kind(rb"GGUF", "a GGUF file of weights", _TO_ONNX),
    _kind(rb"\x93NUMPY", "a NumPy array", "publish the model itself"),
    _kind(rb"PAR1|ARROW1", "a table of data", "publish the model itself"),
    _kind(
        rb"RD[AX][23]\n|[XAB]\n\0{3}[\x02\x03]",
        "R's saved object",
        "save the model in its library's own format",
    ),
    _kind(
        rb"\xef\xbb\xbf\s*(?:\{|tree)|\xff\xfe|\xfe\xff",
        "text with a byte order mark, or UTF-16",
        "save it as plain UTF-8, as its library writes it",
    ),
    _kind(rb"\Z", "an empty file", "publish the model's file"),
)

# Text that is none of the above; a model that is text begins with "tree" or a brace.
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+")


def refuse_foreign(data: bytes) -> None:
    """Nothing, if these bytes may be an ONNX model.

    Raises:
        InvalidArtifact: they are something else, by name, and what to do instead.
    """
    head = data[:_HEAD]
    for kind in _KINDS:
        if kind.mark.match(head):
            raise InvalidArtifact(f"this is {kind.what}: {kind.instead}")
    if _TEXT.fullmatch(head) and _is_utf8(head):
        begin = head.decode(errors="ignore").split("\n")[0][:40]
        raise InvalidArtifact(f"this is text, and no model's file that is known here: it begins {begin!r}")


def _is_utf8(head: bytes) -> bool:
    try:
        # A character may be cut by the end.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
