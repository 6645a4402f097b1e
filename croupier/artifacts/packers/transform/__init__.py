"""What a pipeline does before its estimator, as the block `transform` of docs/artifacts.md.

    columns         a column of the pipeline: which feature it comes from, and what was done to it
    scikit          scikit-learn's steps, followed column by column
    encoders        its encoders of categories
    assembly        columns and policies to a description of the block
    intake          what the artifact takes then: features, inputs, and what it refuses
    description     the block: features, steps
    layout          its bytes

Everything is float64, in the library's order of operations: the tests compare bits. A step that cannot be
written down so is refused by name; what is refused may still be packed for the `onnx` engine.
"""

from croupier.artifacts.packers.transform.assembly import Columns, raw
from croupier.artifacts.packers.transform.description import Transform
from croupier.artifacts.packers.transform.layout import attach

__all__ = ["Columns", "Transform", "attach", "raw"]
