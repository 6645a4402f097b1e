from stubs import ROOT, modules


def test_every_stub_beside_an_extension_is_compared() -> None:
    found = modules()
    assert {"cell.memory.arena", "croupier.transport.http2.session", "router.routes"} <= set(found)
    assert all((ROOT / module.replace(".", "/")).with_suffix(".pyx").exists() for module in found)
    assert not [module for module in found if module.endswith("_pb2")]
