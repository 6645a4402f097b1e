"""Whether a trainer's object is a model that was trained, in the words of its library."""

from __future__ import annotations

from typing import Any

from croupier.artifacts.format import InvalidArtifact

# What the objects of other libraries are packed with, by the first part of their module.
_ELSEWHERE = {
    "xgboost": "pack it with pack_forest",
    "lightgbm": "pack it with pack_forest",
    "catboost": 'save it with save_model("model.onnx", format="onnx") and publish that',
    "torch": "export it with torch.onnx.export and publish that",
    "keras": "export it to ONNX and publish that",
    "tensorflow": "export it to ONNX and publish that",
}


def fitted_width(model: Any) -> int:
    """How many features a fitted estimator or pipeline of scikit-learn takes.

    Raises:
        InvalidArtifact: it is not fitted, or no model of scikit-learn's.
    """
    kind = type(model).__name__
    library = type(model).__module__.partition(".")[0]
    if library in _ELSEWHERE:
        raise InvalidArtifact(f"a {kind} is a model of {library}, not of scikit-learn: {_ELSEWHERE[library]}")
    if not hasattr(model, "get_params"):
        raise InvalidArtifact(f"a {kind} is no model of scikit-learn's")
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else []
    # A pipeline that begins with "passthrough" cannot tell; its next step can.
    for each in (model, *steps):
        width = getattr(each, "n_features_in_", None)
        if width is not None:
            return int(width)
    raise InvalidArtifact(f"this {kind} is not fitted: call its fit first")
