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
    # A product and a sum are rounded each, as libraries do it; on ARM gcc would make one instruction of them.
    flags, macros = ["-ffp-contract=off"], []
    if os.environ.get("CROUPIER_DEBUG") == "1":
        flags, macros = [*flags, "-O1", "-g"], [("CROUPIER_DEBUG", "1")]
    return Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        libraries=libraries,
        define_macros=macros,
        extra_compile_args=flags,
    )


setup(ext_modules=extensions())
