"""Builds the extension modules: one for each .pyx beside the Python code."""

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
    return Extension(".".join(path.with_suffix("").parts), [str(path)], libraries=libraries)


setup(ext_modules=extensions())
