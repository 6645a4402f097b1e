"""Packs trained models: `pack` an object where it was trained, `process` a file that somebody sent.

The only home of training libraries, each of which is imported when it is needed.
"""

from croupier.artifacts.packers.packing import Packed, pack

__all__ = ["Packed", "pack"]
