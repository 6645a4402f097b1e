"""A crash of the process costs its culprit, and nobody else. Imports no other room.

docs/decisions/0011 says what is concluded from what.

`slots` names what each thread's native code works on, where it outlives the process, and ends one that
hangs. `journal` reads after a crash what was named, `quarantine` judges (pure). Whoever runs native code
that it was given names the artifact: engines and readers do.

To read it: `slots` (its docstring), `journal`, `quarantine`.
"""
