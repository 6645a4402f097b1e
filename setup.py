"""Builds the extension modules: one for each .pyx, and for Python that has the types for it in a .pxd.

How all of them are compiled stands here alone; no file has a header of its own. Two builds serve nobody, and
have folders of their own (CONTRIBUTING.md says how to use them):

- `CROUPIER_DEBUG=1 python setup.py build` makes the debug build in `build/debug`: indices and None are
  checked, C assertions are on, CPython's own among them, buffers are poisoned as `croupier/buffers.pyx`
  describes, and debuggers, valgrind and sanitizers name lines of the .pyx;
- `CROUPIER_SANITIZE=address python setup.py build` makes the same in `build/address`, for AddressSanitizer.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGES = ("cell", "croupier", "router", "sharding", "version_manager")
COMPILED = (
    Path("cell/scoring/backlog.py"),
    Path("croupier/fairness.py"),
    Path("croupier/telemetry/traces.py"),
    *(
        Path(f"router/{name}.py")
        for name in ("attempt", "buckets", "cold_loads", "hedges", "losses", "tracing")
    ),
)

DIRECTIVES = {
    "language_level": 3,
    # What an index may be is proved where it is made.
    "boundscheck": False,
    # A negative index is a bug: never an end that it counts from.
    "wraparound": False,
    "initializedcheck": False,
    # Integers are divided as in C: nothing that is divided here may be negative.
    "cdivision": True,
    # What C types there are stands in .pxd files.
    "annotation_typing": False,
    # What is shared is guarded by the GIL.
    "freethreading_compatible": False,
}
DEBUG_DIRECTIVES = {
    **DIRECTIVES,
    "boundscheck": True,
    "initializedcheck": True,
    "nonecheck": True,
    # Lines are not traced: functions without the interpreter's lock would take it, in threads and handlers
    # of signals that may not (docs/decisions/0038-debug-builds-trace-no-lines.md).
}

SANITIZER = os.environ.get("CROUPIER_SANITIZE", "")
IS_DEBUG = os.environ.get("CROUPIER_DEBUG") == "1" or bool(SANITIZER)
FOLDER = f"build/{SANITIZER or 'debug'}"


def extensions() -> list:
    sources = sorted(path for package in PACKAGES for path in Path(package).rglob("*.pyx"))
    if not sources:
        return []
    from Cython.Build import cythonize

    modules = [_extension(path) for path in [*sources, *COMPILED]]
    if IS_DEBUG:
        return cythonize(
            modules, compiler_directives=DEBUG_DIRECTIVES, build_dir=f"{FOLDER}/c", emit_linenums=True
        )
    return cythonize(modules, compiler_directives=DIRECTIVES)


def _extension(path: Path) -> Extension:
    libraries = ["nghttp2"] if path.parent.name == "http2" else []
    # A product and a sum are rounded each, as libraries do it; on ARM gcc would make one instruction of them.
    flags, macros, links = ["-ffp-contract=off"], [], []
    if IS_DEBUG:
        flags += ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer"]
        macros = [("CROUPIER_DEBUG", "1")]
    if SANITIZER:
        links = [f"-fsanitize={SANITIZER}"]
    return Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        libraries=libraries,
        define_macros=macros,
        extra_compile_args=flags + links,
        extra_link_args=links,
    )


class Compile(build_ext):
    """On all processors; an editable install where a wheel finds it again, and not in a folder of its own."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        if self.editable_mode:
            build = self.distribution.get_command_class("build")(self.distribution)
            build.ensure_finalized()
            self.build_lib = build.build_lib


# A debug build never lies beside the sources, where it would be taken for the real one.
OPTIONS = {"build": {"build_base": FOLDER, "build_lib": f"{FOLDER}/lib", "build_temp": f"{FOLDER}/temp"}}

setup(ext_modules=extensions(), cmdclass={"build_ext": Compile}, options=OPTIONS if IS_DEBUG else {})
