"""Servers of models beside a cell: `python -m bench serving`; `install` installs them (`make serving-peers`).

    play        the bench: who can do how much, at what latency, in how much memory
    peer        what each of them is here: how it is started and asked; `oip` asks in the usual protocol
    known       all of them
    models      the models that each serves, in the formats that they read, and the library's answers
    asking      the load, whose every answer is compared with the library's
    running     one of them as a process: on its core, within its bounds, with its CPU time and memory
    telling     rows, ratios and tables

One file a peer: `croupier_cell`; `aio`, in Python without a framework (its server is `aio_server`);
`native`, in C++ (its server lies in the folder of that name); and those that have an environment of their own
(`foreign`) and a program in `servers`: `kserve`, `mlserver`, `bentoml`, `ray_serve`, `triton`.
"""
