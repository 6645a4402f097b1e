from bench.fair.wares import Wares, cold_name
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2


def wares() -> Wares:
    request = prediction_pb2.PredictRequest(items=[prediction_pb2.Item(model="small")])
    return Wares(10, request.SerializeToString())


def test_cold_models_are_asked_for_in_turn_and_begin_anew() -> None:
    load = wares().cold_ones(8, 4)
    asked = [inference_pb2.ModelInferRequest.FromString(load.message(n)).model_name for n in range(4)]
    assert asked == [cold_name(number) for number in (8, 9, 0, 1)]


def test_a_large_request_has_8_mib() -> None:
    assert 2**23 < len(wares().large().message(0)) < 2**23 + 100


def test_items_are_counted() -> None:
    load = wares().one(items=7)
    assert load.items == len(prediction_pb2.PredictRequest.FromString(load.message(0)).items) == 7
