"""The messages of `croupier.prediction.v1`; `prediction.pyi`, which protoc wrote, has their fields."""

from croupier_client.messages.pool import message

_PACKAGE = "croupier.prediction.v1"

PredictRequest = message(f"{_PACKAGE}.PredictRequest")
Shared = message(f"{_PACKAGE}.Shared")
Item = message(f"{_PACKAGE}.Item")
Features = message(f"{_PACKAGE}.Features")
Feature = message(f"{_PACKAGE}.Feature")
Row = message(f"{_PACKAGE}.Row")
PredictResponse = message(f"{_PACKAGE}.PredictResponse")
Result = message(f"{_PACKAGE}.Result")
Origin = message(f"{_PACKAGE}.Origin")
Value = message(f"{_PACKAGE}.Value")
Output = message(f"{_PACKAGE}.Output")
Numbers = message(f"{_PACKAGE}.Numbers")
Integers = message(f"{_PACKAGE}.Integers")
Texts = message(f"{_PACKAGE}.Texts")
Status = message(f"{_PACKAGE}.Status")
PredictStreamRequest = message(f"{_PACKAGE}.PredictStreamRequest")
PredictStreamResponse = message(f"{_PACKAGE}.PredictStreamResponse")
