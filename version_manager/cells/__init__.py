"""The cells: who joined, and what they are asked to do.

`registry` keeps those that joined, each a `joined` cell whose leased record it puts again when somebody
harms it, or a `reporting` one that has joined another manager. `calls` is how a cell is called, and which
cells are a tenant's. By it `warming` has a hand load what a release is about to move to, `pinning` has
every cell keep what operators want kept, and `usage` asks how often a model was used. `handover` has cells
load what others hold hot, as `moves` decides, before they are asked for it.
"""
