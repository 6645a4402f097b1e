from collections.abc import Sequence

from croupier.artifacts.format import Tensor

class Form:
    features: int
    columns: int
    has_label: bool

def form_of(
    features: Sequence[str], accepts_missing: bool, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Form | None: ...
