"""The SDK imports with grpcio and protobuf alone, and shares no descriptor with anybody."""

import json
import subprocess
import sys

import pytest

ALONE = """
import importlib.abc, json, sys
from importlib.metadata import packages_distributions

ALLOWED = {"grpcio", "protobuf", "typing-extensions", "croupier-client"}
FOREIGN = {
    name
    for name, owners in packages_distributions().items()
    if not ALLOWED & {owner.lower().replace("_", "-") for owner in owners}
} - {"croupier_client"}

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FOREIGN or name == "google.rpc" or name.startswith("google.rpc."):
            raise ImportError(f"{name} is not a requirement of the SDK")
        return None

sys.meta_path.insert(0, Blocker())
import croupier_client
print(json.dumps({"modules": sorted(sys.modules), "blocked": sorted(FOREIGN)}))
"""

# The prediction API as generated code of the server's release, the same of a later release, and the Open
# Inference Protocol, as tritonclient has it.
NEIGHBOURS = {
    "the server": "import protos.prediction.v1.prediction_pb2, protos.status.v1.status_pb2",
    "a later release": """
from google.protobuf import descriptor_pb2, descriptor_pool
later = descriptor_pb2.FileDescriptorProto(
    name="protos/prediction/v1/prediction.proto", package="croupier.prediction.v1"
)
later.message_type.add(name="Item").field.add(name="later", number=1, type=5, label=1)
descriptor_pool.Default().AddSerializedFile(later.SerializeToString())
""",
    "tritonclient": "import protos.inference.v2.inference_pb2",
}
SDK = """
from croupier_client.encode import Item, encode
assert encode(Item("churn", {"age": 31})).SerializeToString() == bytes.fromhex(
    "0a05636875726e32100a0e0a036167651100000000"
    "00003f40"
)
"""


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sdk_needs_grpcio_and_protobuf_only():
    found = json.loads(run(ALONE))
    assert {"numpy", "pandas", "xxhash", "msgspec", "uvloop"} <= set(found["blocked"])
    ours = {"bench", "cell", "croupier", "croupierctl", "protos", "router", "sharding", "version_manager"}
    assert not {name.partition(".")[0] for name in found["modules"]} & ours


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
@pytest.mark.parametrize("is_first", [True, False])
def test_it_lives_with_code_that_has_messages_of_the_same_names(neighbour, is_first):
    both = [SDK, NEIGHBOURS[neighbour]]
    run("\n".join(both if is_first else reversed(both)))


def test_nothing_of_it_is_in_the_pool_of_the_process():
    program = """
import croupier_client
from google.protobuf import descriptor_pool
for name in ("croupier.prediction.v1.Item", "croupier.status.v1.Status"):
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        continue
    raise SystemExit(name)
"""
    run(program)
