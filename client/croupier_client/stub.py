"""The methods of the prediction API, and of the features', on a channel."""

from __future__ import annotations

from typing import Any

from croupier_client.messages import features
from croupier_client.messages import prediction as pb

_SERVICE = "/croupier.prediction.v1.PredictionService"
_FEATURES = "/croupier.features.v1.FeatureService"


class Stub:
    """What code that was generated would be; `channel` may be of either kind."""

    def __init__(self, channel: Any) -> None:
        self.predict = channel.unary_unary(
            f"{_SERVICE}/Predict",
            request_serializer=pb.PredictRequest.SerializeToString,
            response_deserializer=pb.PredictResponse.FromString,
        )
        # Of a blocking channel: the answer, and the call that has what came with it.
        self.predict_with_call = getattr(self.predict, "with_call", None)
        self.predict_stream = channel.stream_stream(
            f"{_SERVICE}/PredictStream",
            request_serializer=pb.PredictStreamRequest.SerializeToString,
            response_deserializer=pb.PredictStreamResponse.FromString,
        )
        self.write = channel.stream_unary(
            f"{_FEATURES}/Write",
            request_serializer=features.WriteRequest.SerializeToString,
            response_deserializer=features.WriteResponse.FromString,
        )
