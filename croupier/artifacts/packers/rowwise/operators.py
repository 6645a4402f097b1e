"""The operators of which it is known what they do to the batch, by domain and name.

What is not listed, or is given what its rule does not foresee, counts as mixing rows. So do operators with
graphs of their own (If, Loop, Scan), and all that draw at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from croupier.artifacts.packers.rowwise import axes, elementwise, products, shapes
from croupier.artifacts.packers.rowwise.node import Node, Outputs

STANDARD, LEARNED, MICROSOFT = "", "ai.onnx.ml", "com.microsoft"

_UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu"
)
_BINARY = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual "
    "Max Mean Min Mod Mul Or PRelu Pow StringConcat Sub Sum Where Xor"
)
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare"
)

Rule = Callable[[Node], Outputs]

_STANDARD: Mapping[str, Rule] = {
    **dict.fromkeys(_UNARY.split(), elementwise.unary),
    **dict.fromkeys(_BINARY.split(), elementwise.binary),
    **dict.fromkeys(_REDUCTIONS.split(), axes.reduction),
    **dict.fromkeys(("ArgMax", "ArgMin"), axes.arg),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), axes.softmax),
    **dict.fromkeys(("GroupNormalization", "InstanceNormalization", "LRN"), axes.channel_normalization),
    **dict.fromkeys(("AveragePool", "Conv", "ConvTranspose", "LpPool", "MaxPool"), products.convolution),
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), products.global_pool),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), products.recurrent),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), shapes.space_and_depth),
    **dict.fromkeys(("DequantizeLinear", "QuantizeLinear"), elementwise.quantize),
    "BatchNormalization": axes.batch_normalization,
    "Cast": elementwise.cast,
    "Clip": elementwise.clip,
    "Concat": shapes.concat,
    "ConstantOfShape": shapes.filled,
    "CumSum": axes.cumulative_sum,
    "Dropout": elementwise.dropout,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "GatherElements": shapes.gather_elements,
    "Gemm": products.gemm,
    "Identity": elementwise.same,
    "LayerNormalization": axes.layer_normalization,
    "LpNormalization": axes.along_one,
    "MatMul": products.matmul,
    "OneHot": shapes.one_hot,
    "Pad": shapes.pad,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Slice": shapes.cut,
    "Split": shapes.split,
    "Squeeze": shapes.squeeze,
    "TfIdfVectorizer": axes.text_counts,
    "Tile": shapes.tile,
    "TopK": axes.top,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
_LEARNED: Mapping[str, Rule] = {
    **dict.fromkeys(("Binarizer", "CategoryMapper", "LabelEncoder"), elementwise.unary),
    **dict.fromkeys(("Imputer", "Normalizer", "Scaler"), axes.row_vectors),
    **dict.fromkeys(
        ("LinearRegressor", "SVMRegressor", "TreeEnsemble", "TreeEnsembleRegressor"), products.regressor
    ),
    **dict.fromkeys(("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"), products.classifier),
    "ArrayFeatureExtractor": shapes.feature_extractor,
    "FeatureVectorizer": shapes.features_side_by_side,
    "OneHotEncoder": shapes.category_columns,
}
RULES: Mapping[tuple[str, str], Rule] = {
    **{(STANDARD, name): rule for name, rule in _STANDARD.items()},
    **{(LEARNED, name): rule for name, rule in _LEARNED.items()},
    (MICROSOFT, "CDist"): products.distances,
}
# Good for what is fixed, and for that alone.
FIXED_ONLY = frozenset(
    (STANDARD, name)
    for name in ("EyeLike", "GatherND", "NonZero", "Range", "ScatterElements", "ScatterND", "Size", "Trilu")
)
