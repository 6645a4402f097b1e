"""MLServer: a runtime of one's own, as its documentation tells to write it, for a forest each.

Its runtime for LightGBM goes through codecs and asks `Booster.predict`, both of which take longer.
"""

from __future__ import annotations

from forest import Forest, row_of
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class ForestRuntime(MLModel):
    async def load(self) -> bool:
        self._forest = Forest(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        score = self._forest.predict(row_of(payload.inputs[0].data.root))
        output = ResponseOutput(name="value", shape=[1, 1], datatype="FP32", data=[score])
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
