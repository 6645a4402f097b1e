"""The SDK imports with grpcio and protobuf alone, and leaves inference.* to others."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import importlib.abc, json, sys
from importlib.metadata import packages_distributions

ALLOWED = {"grpcio", "protobuf", "typing-extensions", "croupier"}
OURS = {"croupier", "protos"}
FOREIGN = {
    name
    for name, owners in packages_distributions().items()
    if name not in OURS and not ALLOWED & {owner.lower().replace("_", "-") for owner in owners}
}

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FOREIGN or name == "google.rpc" or name.startswith("google.rpc."):
            raise ImportError(f"{name} is not a requirement of the SDK")
        return None

sys.meta_path.insert(0, Blocker())
from croupier.client import AsyncClient, Client, Item, Prediction, PredictError
from google.protobuf import descriptor_pool

pool = descriptor_pool.Default()
try:
    pool.FindServiceByName("inference.GRPCInferenceService")
    registered = True
except KeyError:
    registered = False
print(json.dumps({"modules": sorted(sys.modules), "registered": registered, "blocked": sorted(FOREIGN)}))
"""


def test_the_sdk_needs_grpcio_and_protobuf_only():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"numpy", "pandas", "xxhash", "msgspec", "uvloop"} <= set(found["blocked"])
    assert not found["registered"]
    loaded = set(found["modules"])
    unwanted = {"numpy", "pandas", "xxhash", "msgspec", "uvloop", "google.rpc", "protos.inference"}
    assert set() == loaded & unwanted
    assert not any(name.startswith("protos.versions") for name in loaded)
