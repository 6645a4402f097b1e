"""How the version manager in memory takes many models by one call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import grpc

from croupier.errors import CroupierError
from croupier.transport.status import from_error
from protos.versions.v1 import versions_pb2 as pb


class FakeBulk:
    """What a call that publishes many is asked and answers; `models` are those of the other methods."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, str], pb.Model] = {}
        # What the next calls are answered after so many outcomes: UNAVAILABLE.
        self.breaks: list[int] = []
        # What is wrong with the next offers of a model, one after the other.
        self.wrong: dict[tuple[str, str], list[CroupierError]] = {}
        # Of each call: its options, and how many artifacts were sent.
        self.bulk_options: list[pb.PublishManyRequest.Options] = []
        self.sent = 0
        self.most_offers = 100

    def PublishMany(self, requests: Any, context: Any) -> Iterator[pb.PublishManyResponse]:
        breaks_after = self.breaks.pop(0) if self.breaks else -1
        self.bulk_options.append(next(requests).options)
        yield pb.PublishManyResponse(most_offers=self.most_offers, most_bytes=1 << 20)
        offers: dict[int, pb.PublishManyRequest.Offer] = {}
        data: dict[int, bytes] = {}
        outcomes = 0
        for request in requests:
            response = pb.PublishManyResponse(revision="fake:7")
            for offer in request.offers:
                offers[offer.id] = offer
                assert len(offers) <= self.most_offers
                if (found := self._settled(offer)) is None:
                    data[offer.id] = b""
                    response.wanted.append(offer.id)
                else:
                    del offers[offer.id]
                    response.outcomes.append(found)
            for chunk in request.chunks:
                data[chunk.id] += chunk.data
                if len(data[chunk.id]) == offers[chunk.id].size:
                    response.outcomes.append(self._published(offers.pop(chunk.id), data.pop(chunk.id)))
            for at, _ in enumerate(response.outcomes):
                if outcomes + at == breaks_after:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the manager is gone")
            outcomes += len(response.outcomes)
            if response.wanted or response.outcomes:
                yield response

    def _settled(self, offer: pb.PublishManyRequest.Offer) -> pb.PublishManyResponse.Outcome | None:
        if waiting := self.wrong.get((offer.tenant, offer.name)):
            status = from_error(waiting.pop(0))
            told = {"status": status.code, "reason": status.reason, "message": status.message}
            return pb.PublishManyResponse.Outcome(id=offer.id, failure=pb.PublishManyResponse.Failure(**told))
        model = self.models.get((offer.tenant, offer.name), pb.Model())
        for version in model.versions:
            if version.artifact == offer.artifact:
                return pb.PublishManyResponse.Outcome(id=offer.id, version=version, known=True, release=1)
        return None

    def _published(self, offer: pb.PublishManyRequest.Offer, data: bytes) -> pb.PublishManyResponse.Outcome:
        assert hashlib.sha256(data).digest() == offer.artifact
        self.sent += 1
        fresh = pb.Model(tenant=offer.tenant, name=offer.name)
        model = self.models.setdefault((offer.tenant, offer.name), fresh)
        number = offer.version or max((one.number for one in model.versions), default=0) + 1
        version = pb.Version(number=number, artifact=offer.artifact, size=offer.size, engine="onnx")
        model.versions.append(version)
        release = 1 if self.bulk_options[-1].release else 0
        return pb.PublishManyResponse.Outcome(id=offer.id, version=version, release=release)
