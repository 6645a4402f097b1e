"""The fastest that score trees on a CPU: lleaves and tl2cgen, which compile models, and oneDAL.

`make peers` installs them into `.venv-peers`, beside what the bench itself is installed with. A compiled
model is a library of its own. It is compiled once, when it is published; every process that loads it has the
code for itself, in several mappings, of which Linux allows a process 65,530.

What was compiled is called without the classes around it, which take longer than the trees. It takes float64:
rows of float32 are converted before the clock starts, in favour of these two.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine_models import Array, Shape
from bench.engine_peer import OneByOne

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_PACKAGES = Path(__file__).parents[1] / ".venv-peers/lib" / _PYTHON / "site-packages"


@functools.cache
def _find_packages() -> None:
    """Behind all others: what is there twice is the bench's own."""
    sys.path.append(str(_PACKAGES))


class _Brought(OneByOne):
    """Of a package that lies in `.venv-peers`."""

    is_wide = True
    package = ""

    def is_installed(self) -> bool:
        return (_PACKAGES / self.package).is_dir()

    def version(self) -> str:
        _find_packages()
        return super().version()


class _Compiled(_Brought):
    """A model is whatever must stay alive, and its function."""

    # Five mappings a library, and some for everything else.
    most: float = 65_530 // 6

    @abstractmethod
    def arguments(self, row: int, score: int) -> tuple[int, ...]:
        """Of the function, for one row of float64 and a score that is 0: addresses."""

    def ask(self, model: Any, rows: Array) -> Array:
        wide, out = np.ascontiguousarray(rows, np.float64), np.zeros(len(rows))
        _, function = model
        row, score = wide.ctypes.data, out.ctypes.data
        for _ in range(len(rows)):
            function(*self.arguments(row, score))
            row, score = row + wide.strides[0], score + out.itemsize
        return out

    def asker(self, models: Sequence[Any], rows: Array) -> Callable[[], object]:
        wide, out = np.ascontiguousarray(rows, np.float64), np.zeros(len(models))
        jobs = []
        for place, (_, function) in enumerate(models):
            row = wide.ctypes.data + place % len(wide) * wide.strides[0]
            jobs.append((function, self.arguments(row, out.ctypes.data + place * out.itemsize)))

        # `wide` has to live as long as there are addresses of its rows.
        def run(wide: Array = wide) -> None:
            out[:] = 0.0
            for function, arguments in jobs:
                function(*arguments)

        return run


class Lleaves(_Compiled):
    """LLVM, in this process. What is kept is an object file; loading it is linking it."""

    package = distribution = "lleaves"

    def payload(self, trained: Any, shape: Shape) -> bytes:
        _find_packages()
        import lleaves

        with tempfile.TemporaryDirectory() as folder:
            text, compiled = Path(folder, "model.txt"), Path(folder, "model.o")
            trained.save_model(text)
            # In blocks of trees only many rows at once are faster.
            lleaves.Model(str(text)).compile(cache=str(compiled), fblocksize=shape.trees)
            return compiled.read_bytes()

    def load(self, payload: bytes) -> Any:
        _find_packages()
        from lleaves.llvm_binding import compile_module_to_asm
        from llvmlite.binding import parse_assembly

        # Nothing is compiled: the object file stands in for the module, which is empty.
        engine = compile_module_to_asm(parse_assembly(""), _kept(payload))
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        return engine, kind(engine.get_function_address("forest_root"))

    def arguments(self, row: int, score: int) -> tuple[int, ...]:
        return row, score, 0, 1

    def ask(self, model: Any, rows: Array) -> Array:
        _, function = model
        wide, out = np.ascontiguousarray(rows, np.float64), np.zeros(len(rows))
        function(wide.ctypes.data, out.ctypes.data, 0, len(rows))
        return out


class Tl2cgen(_Compiled):
    """C, and gcc as tl2cgen calls it. What is kept is a shared library.

    Loading it is writing a file of it and dlopen: one file is loaded once, however often it is asked for.
    """

    package = distribution = "tl2cgen"

    def payload(self, trained: Any, shape: Shape) -> bytes:
        _find_packages()
        import tl2cgen
        import treelite

        with tempfile.TemporaryDirectory() as folder, _silent():
            library = Path(folder, "model.so")
            model = treelite.frontend.from_lightgbm(trained)
            # A source file for 50 trees each, or gcc takes hours.
            options = {"parallel_comp": shape.trees // 50}
            tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params=options, nthread=1)
            return library.read_bytes()

    def load(self, payload: bytes) -> Any:
        with tempfile.NamedTemporaryFile(suffix=".so") as file:
            file.write(payload)
            file.flush()
            # What is loaded stays so when the file has no name any more.
            library = ctypes.CDLL(file.name)
        library.predict.restype = None
        library.predict.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
        return library, library.predict

    def arguments(self, row: int, score: int) -> tuple[int, ...]:
        return row, 0, score


class OneDal(_Brought):
    """Through daal4py. An algorithm's object is kept for each number of rows: making one takes longer."""

    package, distribution = "daal4py", "scikit-learn-intelex"

    def payload(self, trained: Any, shape: Shape) -> bytes:
        import pickle

        _find_packages()
        import daal4py

        return pickle.dumps(daal4py.mb.convert_model(trained).daal_model_)

    def load(self, payload: bytes) -> Any:
        import pickle

        _find_packages()
        import daal4py

        daal4py.daalinit(1)
        return pickle.loads(payload)

    def ask(self, model: Any, rows: Array) -> Array:
        found: Array = _onedal(len(rows), rows.dtype == np.float64).compute(rows, model).probabilities
        return found[:, 1]


@functools.cache
def _onedal(rows: int, wide: bool) -> Any:
    import daal4py

    return daal4py.gbt_classification_prediction(
        nClasses=2, fptype="double" if wide else "float", resultsToEvaluate="computeClassProbabilities"
    )


@functools.cache
def _kept(payload: bytes) -> Path:
    """A file of `payload`, which goes with the folder of the process's temporary files."""
    descriptor, name = tempfile.mkstemp(".o")
    with open(descriptor, "wb") as file:
        file.write(payload)
    return Path(name)


@contextmanager
def _silent() -> Iterator[None]:
    """Without what libraries tell a terminal past Python: that one treelite is not the other's, and such."""
    sys.stdout.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        for descriptor, copy in enumerate(kept, start=1):
            os.dup2(copy, descriptor)
            os.close(copy)
