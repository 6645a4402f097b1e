"""Packs trained models: `pack` an object where it was trained, `process` a file that somebody sent.

The only home of training libraries, each of which is imported when it is needed.

    packing      an object: which engine takes it, and why
    files        a file: what it is, told by its first bytes
    foreign      files that are refused, by name; `fitted` objects that are no trained model
    process      a file in a process that is thrown away; `child` is what runs there
    forest, linear, onnx      one for each engine; `linear_models` and `scikit_onnx` read scikit-learn's
    transform    what a pipeline does before its estimator
    outcome, transformation   what artifacts give, and what becomes of sums
    rowwise      whether the rows of a graph are independent
    trial        has an artifact tried as a cell would serve it
    checks       compares it with its library
"""

from croupier.artifacts.packers.packing import Packed, pack

__all__ = ["Packed", "pack"]
