"""The examples in other languages, whole: how each is built, and its program."""

from __future__ import annotations

from blocks import ROOT

# By folder below `examples/`: the program, and the language of its fence.
PROGRAMS = {
    "go": ("predict.go", "go"),
    "java": ("Predict.java", "java"),
    "node": ("predict.js", "js"),
    "ruby": ("predict.rb", "ruby"),
    "cpp": ("predict.cc", "cpp"),
}


def program(folder: str) -> str:
    name, language = PROGRAMS[folder]
    # A script and no commands to type, which would be `sh`.
    return f"{_file(folder, 'build', 'bash')}\n{_file(folder, name, language)}"


def _file(folder: str, name: str, language: str) -> str:
    path = f"examples/{folder}/{name}"
    text = (ROOT / path).read_text()
    return f"[`{path}`](../{path}):\n\n```{language}\n{text}```\n"
