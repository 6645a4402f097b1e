"""What all fuzz targets share: atheris, and the counters of a build by `build.py`."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import croupier

Mutate = Callable[[bytes, int], bytes]
StructuredMutate = Callable[[bytes, int, int, Mutate], bytes]


def fuzz(replay: Callable[[bytes], object], mutate: StructuredMutate) -> None:
    """Search with atheris, by the arguments of the command line, which are libFuzzer's."""
    import atheris

    atheris.Setup(
        sys.argv, replay, custom_mutator=lambda data, most, seed: mutate(data, most, seed, atheris.Mutate)
    )
    _count_coverage()
    atheris.Fuzz()


def _count_coverage() -> None:
    """Let libFuzzer read the counters of a build by `build.py`.

    atheris would load its engine later, in `Fuzz`, and the mutator before it, so that the engine finds it.
    """
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_GLOBAL)
    importlib.import_module("atheris.custom_mutator")
    sys.setdlopenflags(flags)
    core = importlib.import_module("atheris.core_with_libfuzzer")
    library = Path(croupier.__path__[0]).parent / "libcover.so"
    assert library.exists(), "this build of croupier counts no coverage: see tests/fuzz/build.py"
    cover, engine = ctypes.CDLL(library), ctypes.CDLL(str(core.__file__))
    for name in ("__sanitizer_cov_8bit_counters_init", "__sanitizer_cov_pcs_init"):
        begin, end = ctypes.c_void_p(), ctypes.c_void_p()
        getattr(cover, "counters" if "counters" in name else "places")(ctypes.byref(begin), ctypes.byref(end))
        getattr(engine, name)(begin, end)
