"""Builds the extension modules: one for each .pyx beside the Python code.

With CROUPIER_DEBUG=1 in the environment it is the debug build that `croupier/buffers.pyx` describes. Give it
folders of its own, for it is slow, and serves nobody: `make fuzz-memory` does.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

PACKAGES = ("cell", "croupier", "router", "sharding")


def extensions() -> list:
    sources = sorted(path for package in PACKAGES for path in Path(package).rglob("*.pyx"))
    if not sources:
        return []
    from Cython.Build import cythonize

    return cythonize([_extension(path) for path in sources], language_level=3)


def _extension(path: Path) -> Extension:
    libraries = ["nghttp2"] if path.parent.name == "transport" else []
    debug = {}
    if os.environ.get("CROUPIER_DEBUG") == "1":
        debug = {"define_macros": [("CROUPIER_DEBUG", "1")], "extra_compile_args": ["-O1", "-g"]}
    return Extension(".".join(path.with_suffix("").parts), [str(path)], libraries=libraries, **debug)


setup(ext_modules=extensions())
