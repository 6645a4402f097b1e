"""Every transformation that treelite names, against treelite's own reference; and the page's numbers."""

import numpy as np
import pytest
import treelite
from support.forests import data, scored
from treelite import model_builder as builder

from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.forest import xgboost_file
from croupier.artifacts.packers.forest.layout import encode

SEVERAL = {"identity_multiclass", "softmax", "multiclass_ova"}
PARAMETERS = {"sigmoid": {"sigmoid_alpha": 0.7}, "exponential_standard_ratio": {"ratio_c": 2.5}}


def stump(postprocessor: str, sums: int) -> treelite.Model:
    """For each sum one split of the first feature."""
    metadata = builder.Metadata(
        num_feature=1,
        task_type="kRegressor" if sums == 1 else "kMultiClf",
        average_tree_output=False,
        num_target=1,
        num_class=[sums],
        leaf_vector_shape=(1, 1),
    )
    made = builder.ModelBuilder(
        threshold_type="float32",
        leaf_output_type="float32",
        metadata=metadata,
        tree_annotation=builder.TreeAnnotation(
            num_tree=sums, target_id=[0] * sums, class_id=list(range(sums))
        ),
        postprocessor=builder.PostProcessorFunc(name=postprocessor, **PARAMETERS.get(postprocessor, {})),
        base_scores=[0.25] * sums,
    )
    for place in range(sums):
        made.start_tree()
        made.start_node(0)
        made.numerical_test(
            0, float(place) / 2, default_left=True, opname="<", left_child_key=1, right_child_key=2
        )
        made.end_node()
        for key, leaf in ((1, -1.5 + place), (2, 0.75)):
            made.start_node(key)
            made.leaf(leaf)
            made.end_node()
        made.end_tree()
    return made.commit()


@pytest.mark.parametrize("name", xgboost_file._TRANSFORMATIONS)
def test_transformations_are_treelites(name: str) -> None:
    sums = 3 if name in SEVERAL else 1
    model = stump(name, sums)
    ensemble, _ = xgboost_file._ensemble(model)
    outputs, sections = outcome.value(sums)
    artifact = outcome.pack_numbers(
        "forest",
        encode(ensemble),
        features=1,
        names=(),
        accepts_missing=True,
        outputs=outputs,
        sections=sections,
    )
    rows = np.concatenate([data(1, rows=50, features=1), [[0.0], [0.5], [1.0], [np.nan]]]).astype(np.float32)
    expected = treelite.gtil.predict(model, rows).reshape(len(rows), sums)
    np.testing.assert_allclose(scored(artifact, rows)["value"], expected, rtol=1e-6, atol=1e-7)
