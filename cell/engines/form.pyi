from cell.codec.signature import Signature

class Form:
    features: int
    columns: int
    has_label: bool
    is_wide: bool

def form_of(signature: Signature) -> Form | None: ...
