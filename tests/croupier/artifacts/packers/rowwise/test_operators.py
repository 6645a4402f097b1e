"""The table of operators against ONNX's own schemas: what is listed exists, and its rule sees all of it."""

import onnx
import pytest

from croupier.artifacts.packers.rowwise import axes, elementwise, products
from croupier.artifacts.packers.rowwise.operators import FIXED_ONLY, LEARNED, MICROSOFT, RULES, STANDARD

SCHEMAS = [each for each in onnx.defs.get_all_schemas_with_history() if each.domain in (STANDARD, LEARNED)]
BY_NAME = {
    key: [each for each in SCHEMAS if (each.domain, each.name) == key]
    for key in {(each.domain, each.name) for each in SCHEMAS}
}
# Runs in ONNX Runtime alone.
OWN = {(MICROSOFT, "CDist")}
LISTED = sorted({*RULES, *FIXED_ONLY} - OWN)


@pytest.mark.parametrize("key", LISTED, ids="".join)
def test_what_is_listed_is_an_operator_without_graphs_of_its_own(key: tuple[str, str]) -> None:
    assert BY_NAME[key]
    for schema in BY_NAME[key]:
        kinds = {each.type for each in schema.attributes.values()}
        assert not kinds & {onnx.defs.OpSchema.AttrType.GRAPH, onnx.defs.OpSchema.AttrType.GRAPHS}


def test_nothing_that_draws_at_random_is_listed_but_a_dropout() -> None:
    seeded = {key for key, several in BY_NAME.items() if any("seed" in each.attributes for each in several)}
    assert len(seeded) > 5
    assert seeded & set(LISTED) == {(STANDARD, "Dropout")}
    assert RULES[STANDARD, "Dropout"] is elementwise.dropout


def inputs_of(key: tuple[str, str]) -> int:
    """The most inputs of any version that is analysed: of opset 7 and later."""
    versions = sorted(each.since_version for each in BY_NAME[key])
    oldest = max((each for each in versions if each <= 7), default=versions[0])
    return max(each.max_input for each in BY_NAME[key] if each.since_version >= oldest)


@pytest.mark.parametrize(
    ("rule", "most"),
    [
        # What has one rule for its first input has no other one that a request could give.
        (elementwise.unary, 1),
        (elementwise.same, 1),
        (elementwise.cast, 1),
        (axes.softmax, 1),
        (axes.arg, 1),
        (axes.row_vectors, 1),
        (axes.text_counts, 1),
        (products.regressor, 1),
        (products.classifier, 1),
        (products.global_pool, 1),
        (axes.reduction, 2),
        (axes.top, 2),
        (axes.cumulative_sum, 2),
        (axes.channel_normalization, 3),
        (axes.batch_normalization, 5),
        (products.gemm, 3),
        (products.recurrent, 8),
    ],
)
def test_a_rule_sees_every_input(rule: object, most: int) -> None:
    ruled = [key for key in LISTED if RULES.get(key) is rule]
    assert ruled
    assert max(map(inputs_of, ruled)) == most


def test_a_name_has_one_meaning() -> None:
    assert not set(RULES) & FIXED_ONLY
    assert {domain for domain, _ in RULES} == {STANDARD, LEARNED, MICROSOFT}
