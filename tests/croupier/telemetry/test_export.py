from contextlib import AsyncExitStack

import pytest
from support.collector import grpc_collector

from croupier.settings import InvalidSettings, TelemetrySettings
from croupier.telemetry.export import exporting


async def test_nothing_is_exported_unless_there_is_an_endpoint() -> None:
    async with AsyncExitStack() as stack:
        assert await exporting(TelemetrySettings(), "croupier-test", stack) is None


async def test_what_began_is_sent_before_the_process_ends() -> None:
    with grpc_collector() as (kept, endpoint):
        async with AsyncExitStack() as stack:
            settings = TelemetrySettings(otlp_endpoint=endpoint, trace_ratio=1.0)
            tracer = await exporting(settings, "croupier-test", stack)
            assert tracer is not None
            span = tracer.begin("Infer", lambda key: ())
            assert span is not None
            span.end()
        assert [(service, one.name) for service, one in kept.spans] == [("croupier-test", "Infer")]
        assert "process_cpu_seconds_total" in kept.latest("croupier-test")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (TelemetrySettings(trace_ratio=0.5), "needs --otlp-endpoint"),
        (TelemetrySettings(trace_ratio=1.5), "a part"),
        (TelemetrySettings(trace_ratio=float("nan")), "a part"),
        (TelemetrySettings(otlp_seconds=0.0), "--otlp-seconds"),
        (TelemetrySettings(otlp_endpoint="collector:4317"), "http"),
        (TelemetrySettings(otlp_endpoint="http://collector"), "http"),
        (TelemetrySettings(otlp_endpoint="http://[::1"), "http"),
        (TelemetrySettings(otlp_endpoint="https://me:secret@collector:4317"), "http"),
        (TelemetrySettings(otlp_endpoint="http://collector:4317"), "needs --insecure"),
    ],
)
def test_settings_that_cannot_be_used(settings: TelemetrySettings, why: str) -> None:
    with pytest.raises(InvalidSettings, match=why) as raised:
        settings.check_telemetry(insecure=False)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "endpoint", ["", "http://127.0.0.1:4317", "http://[::1]:4317", "https://collector:4317"]
)
def test_settings_that_are_safe(endpoint: str) -> None:
    TelemetrySettings(otlp_endpoint=endpoint).check_telemetry(insecure=False)


def test_plaintext_for_whoever_wants_it(caplog: pytest.LogCaptureFixture) -> None:
    TelemetrySettings(otlp_endpoint="http://collector:4317").check_telemetry(insecure=True)
    assert "INSECURE" in caplog.text
