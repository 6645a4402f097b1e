"""The onnx packer: what it packs predicts as the training library does, and what it refuses."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from croupier.artifacts.format import InvalidArtifact, Tensor, view
from croupier.artifacts.packers.onnx import pack_onnx, pack_sklearn

FLOAT = TensorProto.FLOAT


def run(packed, rows):
    """The outputs, by name, of the packed model for the rows."""
    artifact = view(packed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        bytes(artifact.section("model")), options, providers=["CPUExecutionProvider"]
    )
    names = [tensor.name for tensor in artifact.outputs]
    wide = artifact.inputs[0].datatype == "FP64"
    values = session.run(names, {"input": rows.astype(np.float64 if wide else np.float32)})
    for tensor, value in zip(artifact.outputs, values, strict=True):
        assert value.shape == tuple(len(rows) if size == -1 else size for size in tensor.shape)
    return dict(zip(names, values, strict=True))


def data_of(load):
    data = load()
    return data.data.astype(np.float32), data.target


CLASSIFIERS = [
    (load_breast_cancer, LogisticRegression(C=1e-3, max_iter=10_000)),
    (load_breast_cancer, make_pipeline(StandardScaler(), LogisticRegression())),
    (
        load_wine,
        make_pipeline(
            StandardScaler(), MLPClassifier(hidden_layer_sizes=(8,), solver="lbfgs", random_state=1)
        ),
    ),
    (load_wine, GradientBoostingClassifier(n_estimators=10, random_state=1)),
    (load_breast_cancer, GradientBoostingClassifier(n_estimators=10, random_state=1)),
    (load_digits, make_pipeline(StandardScaler(), LogisticRegression())),
]
REGRESSORS = [
    (load_diabetes, LinearRegression()),
    (
        load_diabetes,
        make_pipeline(
            StandardScaler(),
            MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=1, max_iter=30),
        ),
    ),
    (load_diabetes, GradientBoostingRegressor(n_estimators=20, random_state=1)),
]


def name_of(value):
    if callable(value):
        return value.__name__.removeprefix("load_")
    return "-".join(type(step).__name__ for _, step in getattr(value, "steps", [("", value)]))


@pytest.mark.parametrize(("load", "model"), CLASSIFIERS, ids=name_of)
def test_a_classifier_predicts_as_scikit_learn_does(load, model):
    rows, target = data_of(load)
    model.fit(rows, target)
    packed = pack_sklearn(model)
    artifact = view(packed)
    assert artifact.engine == "onnx"
    datatype = "FP32" if isinstance(model, GradientBoostingClassifier) else "FP64"
    assert artifact.inputs == (Tensor("input", datatype, (-1, rows.shape[1])),)
    assert artifact.outputs == (
        Tensor("label", "INT64", (-1,)),
        Tensor("probabilities", "FP32", (-1, len(model.classes_))),
    )
    assert not artifact.accepts_missing
    answers = run(packed, rows)
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(rows), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(answers["label"], model.predict(rows))


# A half-trained network is as good for comparing.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("load", "model"), REGRESSORS, ids=name_of)
def test_a_regressor_predicts_as_scikit_learn_does(load, model):
    rows, target = data_of(load)
    model.fit(rows, target)
    packed = pack_sklearn(model)
    assert view(packed).outputs == (Tensor("variable", "FP32", (-1, 1)),)
    np.testing.assert_allclose(run(packed, rows)["variable"][:, 0], model.predict(rows), rtol=1e-6)


def test_labels_may_be_words():
    data = load_wine()
    rows, words = data.data.astype(np.float32), data.target_names[data.target]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, words)
    packed = pack_sklearn(model)
    assert view(packed).outputs[0] == Tensor("label", "BYTES", (-1,))
    np.testing.assert_array_equal(run(packed, rows)["label"], model.predict(rows))


def test_features_are_the_callers_or_the_columns_that_the_model_was_fitted_on():
    frame = load_wine(as_frame=True).data
    model = LinearRegression().fit(frame, load_wine().target)
    assert view(pack_sklearn(model)).features == tuple(frame.columns)
    letters = [chr(ord("a") + place) for place in range(13)]
    assert view(pack_sklearn(model, features=letters)).features == tuple(letters)
    unnamed = LinearRegression().fit(*load_wine(return_X_y=True))
    assert view(pack_sklearn(unnamed)).features == ()


def test_features_may_be_an_array():
    data = load_breast_cancer()
    assert isinstance(data.feature_names, np.ndarray)
    model = LinearRegression().fit(data.data, data.target)
    assert view(pack_sklearn(model, features=data.feature_names)).features == tuple(data.feature_names)


def test_too_few_feature_names_are_refused():
    model = LinearRegression().fit(*load_wine(return_X_y=True))
    with pytest.raises(InvalidArtifact, match="2 features"):
        pack_sklearn(model, features=["a", "b"])


@pytest.fixture(scope="module")
def holed():
    """Wines with a tenth of the values missing."""
    rows, target = data_of(load_wine)
    rows[np.random.default_rng(1).random(rows.shape) < 0.1] = np.nan
    return rows, target


def test_an_imputer_makes_missing_values_acceptable(holed):
    rows, target = holed
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(rows, target)
    packed = pack_sklearn(model)
    assert view(packed).accepts_missing
    probabilities = run(packed, rows)["probabilities"]
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=1e-5)
    assert not view(pack_sklearn(model, accepts_missing=False)).accepts_missing


def test_an_imputer_of_something_else_does_not(holed):
    rows, target = np.nan_to_num(holed[0], nan=-1), holed[1]
    model = make_pipeline(SimpleImputer(missing_values=-1.0), LogisticRegression(C=1e-4, max_iter=5000))
    assert not view(pack_sklearn(model.fit(rows, target))).accepts_missing


def test_trees_may_not_accept_missing_values_since_onnx_sends_them_elsewhere(holed):
    model = RandomForestClassifier(5, random_state=1).fit(*holed)
    assert not view(pack_sklearn(model)).accepts_missing
    with pytest.raises(InvalidArtifact, match="SimpleImputer"):
        pack_sklearn(model, accepts_missing=True)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (LogisticRegression(), "not fitted"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "not fitted"),
        ("a string", "a str is no model of scikit-learn's"),
        (LocalOutlierFactor().fit(np.eye(30)), "cannot convert this LocalOutlierFactor"),
    ],
    ids=["unfitted", "unfitted pipeline", "no model", "no converter"],
)
def test_a_model_that_cannot_be_converted_is_refused(model, problem):
    with pytest.raises(InvalidArtifact, match=problem):
        pack_sklearn(model)


def value(name, shape=(None, 2), datatype=FLOAT):
    return helper.make_tensor_value_info(name, datatype, shape)


def sequence(name):
    return helper.make_tensor_sequence_value_info(name, FLOAT, None)


def make(nodes, inputs, outputs, *, initializers=(), opsets=(("", 17),), **more):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    ids = [helper.make_opsetid(*opset) for opset in opsets]
    return helper.make_model(graph, opset_imports=ids, ir_version=8, **more)


def identity(inputs=None, outputs=None, **more):
    node = helper.make_node("Identity", ["x"], ["y"])
    return make([node], inputs or [value("x")], outputs or [value("y")], **more)


def pack_model(model, **options):
    return pack_onnx(model.SerializeToString(), **options)


def test_an_onnx_file_is_packed_as_it_is():
    model = identity().SerializeToString()
    artifact = view(pack_onnx(model, features=["a", "b"], accepts_missing=True))
    assert bytes(artifact.section("model")) == model
    assert artifact.features == ("a", "b")
    assert artifact.accepts_missing
    assert artifact.inputs == (Tensor("x", "FP32", (-1, 2)),)


def several_inputs(shape=(None, 1)):
    names = ["c", "a", "b"]
    nodes = [helper.make_node("Sum", names, ["y"])]
    return make(nodes, [value(name, shape) for name in names], [value("y", shape)])


def test_several_columns_name_the_features():
    assert view(pack_model(several_inputs())).features == ("c", "a", "b")


def test_several_columns_follow_the_order_of_the_features():
    artifact = view(pack_model(several_inputs(), features=["a", "b", "c"]))
    assert [tensor.name for tensor in artifact.inputs] == ["a", "b", "c"]


def test_several_wide_inputs_have_no_features():
    assert view(pack_model(several_inputs((None, 4)))).features == ()


def test_an_input_with_a_value_in_the_model_is_no_input():
    constant = helper.make_tensor("x", FLOAT, [1, 2], [1.0, 2.0])
    model = make(
        [helper.make_node("Add", ["x", "z"], ["y"])],
        [value("x", (1, 2)), value("z")],
        [value("y")],
        initializers=[constant],
    )
    assert [tensor.name for tensor in view(pack_model(model)).inputs] == ["z"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [(TensorProto.STRING, "BYTES"), (TensorProto.BOOL, "BOOL"), (TensorProto.FLOAT16, "FP16")],
)
def test_datatypes_get_their_protocol_names(number, expected):
    model = identity([value("x", datatype=number)], [value("y", datatype=number)])
    assert view(pack_model(model)).inputs[0].datatype == expected


def external(name="w"):
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def external_in_initializer():
    return identity(initializers=[external()])


def external_in_attribute():
    constant = helper.make_node("Constant", [], ["w"], value=external())
    return make([constant, helper.make_node("Add", ["x", "w"], ["y"])], [value("x")], [value("y")])


def external_in_subgraph():
    branch = helper.make_graph([], "branch", [], [value("w", (2,))], [external()])
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    return make([node], [condition], [value("y", (2,))])


def external_in_function():
    constant = helper.make_node("Constant", [], ["w"], value=external())
    opset = helper.make_opsetid("", 17)
    function = helper.make_function("own", "Load", [], ["w"], [constant], [opset])
    node = helper.make_node("Load", [], ["y"], domain="own")
    return make([node], [value("x")], [value("y", (2,))], opsets=[("", 17), ("own", 1)], functions=[function])


@pytest.mark.parametrize(
    "make_model",
    [external_in_initializer, external_in_attribute, external_in_subgraph, external_in_function],
)
def test_external_data_is_refused_wherever_it_hides(make_model):
    with pytest.raises(InvalidArtifact, match="'w' has external data"):
        pack_model(make_model())


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (identity([sequence("x")], [sequence("y")]), "input 'x' is a sequence"),
        (identity([value("x", datatype=TensorProto.COMPLEX64)]), "COMPLEX64"),
        (identity([value("x", (1, 2))], [value("y", (1, 2))]), "fixed first dimension"),
        (identity([value("x", (None, None))]), "not fixed"),
        (identity([value("x", ())], [value("y", ())]), "rank 0"),
        (identity([value("x", None)], [value("y", None)]), "not valid: Field 'shape'"),
        (identity([value("x", (None,) + (1,) * 7)]), "rank 8"),
        (identity(opsets=[("", 17), ("acme", 1)]), "operators of its own: acme"),
        (make([helper.make_node("Nonsense", ["x"], ["y"])], [value("x")], [value("y")]), "not valid"),
        (make([helper.make_node("Identity", ["z"], ["y"])], [value("x")], [value("y")]), "not valid"),
        (identity([value(f"x{i}") for i in range(4097)] + [value("x")]), "4098 inputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "model",
)
def test_a_model_that_cannot_be_served_is_refused_by_name(model, problem):
    with pytest.raises(InvalidArtifact, match=problem):
        pack_model(model)


@pytest.mark.parametrize(
    ("producer", "way"),
    [
        ("skl2onnx", r"options=\{'zipmap': False\}"),
        ("OnnxMLTools", "their own files"),
        ("CatBoost", "make 'x' the output in its place"),
    ],
)
def test_a_sequence_of_maps_is_refused_with_the_way_out(producer, way):
    maps = onnx.ValueInfoProto(name="probabilities")
    element = maps.type.sequence_type.elem_type.map_type
    element.key_type = TensorProto.INT64
    element.value_type.tensor_type.elem_type = FLOAT
    zipmap = helper.make_node(
        "ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]
    )
    opsets = [("", 17), ("ai.onnx.ml", 3)]
    model = make([zipmap], [value("x")], [maps], opsets=opsets, producer_name=producer)
    with pytest.raises(InvalidArtifact, match=rf"'probabilities' is a sequence.*{way}"):
        pack_model(model)


def test_a_sequence_that_is_no_map_has_another_way_out():
    parts = helper.make_node("SplitToSequence", ["x"], ["y"])
    with pytest.raises(InvalidArtifact, match=r"'y' is a sequence.*an output of its own"):
        pack_model(make([parts], [value("x")], [sequence("y")], producer_name="pytorch"))


def test_functions_of_the_models_own_are_operators_too():
    opset = helper.make_opsetid("", 17)
    function = helper.make_function(
        "own", "Same", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [opset]
    )
    node = helper.make_node("Same", ["x"], ["y"], domain="own")
    model = make([node], [value("x")], [value("y")], opsets=[("", 17), ("own", 1)], functions=[function])
    assert view(pack_model(model)).outputs == (Tensor("y", "FP32", (-1, 2)),)


SMALL = identity(initializers=[helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])]).SerializeToString()


def pack_or_refuse(model):
    try:
        packed = pack_onnx(model)
    except InvalidArtifact:
        return
    assert bytes(view(packed).section("model")) == model


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(model):
    pack_or_refuse(model)


@settings(max_examples=150)
@given(st.lists(st.integers(0, 8 * len(SMALL) - 1), min_size=1, max_size=4))
def test_flipped_bits_are_refused_or_still_valid(positions):
    model = bytearray(SMALL)
    for position in positions:
        model[position // 8] ^= 1 << position % 8
    pack_or_refuse(bytes(model))


@given(st.integers(0, len(SMALL) - 1))
def test_a_truncated_model_is_refused_or_still_valid(size):
    pack_or_refuse(SMALL[:size])
