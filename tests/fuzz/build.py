"""Builds croupier so that a fuzzer sees which parts of its native code an input reaches.

    python tests/fuzz/build.py FOLDER [--asan]

FOLDER gets a copy of the package whose extension modules are compiled by gcc with a call at each branch
(`-fsanitize-coverage=trace-pc`), and `libcover.so`, which counts those calls for libFuzzer. libFuzzer's own
way needs clang. With `--asan`, AddressSanitizer watches the memory as well, and the arena of models takes
each block from malloc, for in one mapping a read past a block's end would be lawful; run it as

    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so.6)" \\
        PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 python …

Without libstdc++ AddressSanitizer stops at the first exception of a C++ library, which a packer's is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize

ROOT = Path(__file__).parents[2]
COVER = r"""
#include <stdint.h>
#define SIZE 65536
static uint8_t hits[SIZE];
static uintptr_t table[SIZE][2];
void __sanitizer_cov_trace_pc(void) {
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    uint8_t *hit = &hits[(place * 0x9E3779B97F4A7C15u) >> 48];
    *hit += *hit < 255;
}
void counters(void **begin, void **end) { *begin = hits; *end = hits + SIZE; }
void places(void **begin, void **end) {
    for (uintptr_t i = 0; i < SIZE; i++) table[i][0] = i + 1;
    *begin = table; *end = table + SIZE;
}
"""


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    asan = ["-fsanitize=address"] if "--asan" in sys.argv else []
    for package in ("cell", "croupier", "protos"):
        shutil.copytree(
            ROOT / package,
            folder / package,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"),
        )
    cover = folder / "cover.c"
    cover.write_text(COVER)
    compile_shared(cover, folder / "libcover.so", [])
    if asan:
        give_each_block_its_own_end(folder / "cell" / "arena.pyx")
    sources = sorted(
        source for package in ("cell", "croupier") for source in (folder / package).rglob("*.pyx")
    )
    cythonize([str(source) for source in sources], language_level=3, include_path=[str(folder)])
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for source in sources:
        compile_shared(
            source.with_suffix(".c"),
            source.with_suffix(suffix),
            [
                "-fsanitize-coverage=trace-pc",
                *asan,
                f"-I{sysconfig.get_path('include')}",
                f"-L{folder}",
                f"-Wl,-rpath,{folder}",
                "-lcover",
                "-lnghttp2",
            ],
        )


def give_each_block_its_own_end(arena: Path) -> None:
    """Put malloc in the place of slots and pages."""
    text = arena.read_text()
    for header, body in (
        (
            "cdef int take(self, Place* place) except -1:",
            "place.at = <char*>malloc(place.size)\n        return 0",
        ),
        ("cdef void give(self, Place* place) noexcept:", "free(place.at)\n        place.at = NULL"),
    ):
        assert text.count(header) == 1, "the arena has changed"
        before, _, after = text.partition(header)
        text = f"{before}{header}\n        {body}\n\n    cdef{after.partition(chr(10) + '    cdef')[2]}"
    arena.write_text(text)


def compile_shared(source: Path, target: Path, options: list[str]) -> None:
    command = ["gcc", "-shared", "-fPIC", "-O1", "-g", "-w", str(source), "-o", str(target), *options]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
