"""Builds the extension modules: one for each .pyx beside the Python code."""

from pathlib import Path

from setuptools import setup

PACKAGES = ("cell", "croupier", "router", "sharding")


def extensions() -> list:
    sources = sorted(str(path) for package in PACKAGES for path in Path(package).rglob("*.pyx"))
    if not sources:
        return []
    from Cython.Build import cythonize

    return cythonize(sources, language_level=3)


setup(ext_modules=extensions())
