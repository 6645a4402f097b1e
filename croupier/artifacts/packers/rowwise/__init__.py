"""Whether the rows of an ONNX model are independent of each other, so that those of many callers may be
scored in one call.

    analysis     follows the batch through the graph, by what is known of each operator
       elementwise, axes, shapes, products      the operators
       values, node                             what an operator sees
    trial        scores rows together, alone and in another order

Both have to agree. The trial alone would believe whatever its rows do not show: a mean over the batch that
is multiplied by 1e-9, a branch that only rare values take. The analysis alone would believe that the runtime
does what the operator's specification says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from croupier.artifacts.format import Tensor
from croupier.artifacts.packers.rowwise.analysis import check_independent
from croupier.artifacts.packers.rowwise.trial import check_agrees
from croupier.artifacts.packers.rowwise.values import Dependent


def why_dependent(model: Any, serialized: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    """Which operator of `model` mixes rows, or what of it is not known; "" if its rows are independent.

    `model` is a ModelProto that was checked, `serialized` its bytes.
    """
    try:
        check_independent(model, inputs, outputs)
        check_agrees(model, serialized, inputs, outputs)
    except Dependent as error:
        return str(error)
    return ""
