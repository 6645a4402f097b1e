"""What runs in the environments of the peers, which have nothing else of ours.

`kserve_server`, `mlserver_runtime`, `ray_server`, `bento_service` and `triton_model` are what one writes to
serve models with each. All of them ask a model as `forest` does; `loopback` keeps those there that would
listen to everybody.
"""
