"""Every module can be the first that a program imports: none is in a circle of imports.

Import contracts find every circle of modules, but not one over the `__init__.py` that each is imported after.
"""

import subprocess
import sys
from pathlib import Path

PACKAGES = ("cell", "router")

# A child for each module, of a process that has the libraries already.
IMPORT = """
import os, sys
import google.protobuf.message, grpc.aio, msgspec, numpy, prometheus_client, onnxruntime, uvloop
import croupier.stores.objects_s3, croupier.transport.serving, protos.prediction.v1.prediction_pb2
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException as error:
            print(f"{name}: {error}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_each_can_be_the_first() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", IMPORT, *modules()], capture_output=True, text=True, check=True
    )
    assert imported.stdout == ""


def modules() -> list[str]:
    found = []
    for package in PACKAGES:
        (folder,) = __import__(package).__path__
        root = Path(folder)
        for path in [*root.rglob("*.py"), *root.rglob("*.so")]:
            name = path.name.partition(".")[0]
            if name not in ("__init__", "__main__", "app"):
                found.append(".".join((package, *path.relative_to(root).parent.parts, name)))
    assert len(found) > 80
    return found
