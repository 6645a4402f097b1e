"""tritonclient and the SDK in one process, imported in the order that is asked for, each asked once.

`beside_triton.py ROUTER ROW MODULE MODULE`; prints the SDK's answer as JSON.
"""

import importlib
import json
import sys

router, row = sys.argv[1], json.loads(sys.argv[2])
modules = {name: importlib.import_module(name) for name in sys.argv[3:]}

triton = modules["tritonclient.grpc"].InferenceServerClient(router)
assert triton.is_server_live()
with modules["croupier_client"].Client(router, tenant="acme", timeout=20.0) as client:
    answer = client.predict("wine", row).outputs["probabilities"]
sys.stdout.write(json.dumps(list(answer)))
