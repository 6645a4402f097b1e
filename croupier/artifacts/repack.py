"""An artifact with another section: everything else that it says is kept, whatever that will be."""

from __future__ import annotations

from croupier.artifacts.format import pack, view


def with_section(data: bytes | memoryview, name: str, content: bytes | None) -> bytes:
    """The artifact in `data` with `content` as its section `name`, behind the others; without it if None.

    Raises:
        InvalidArtifact: no artifact, or one section too many or none left.
    """
    artifact = view(data)
    sections = {each: bytes(section) for each, section in artifact.sections.items() if each != name}
    if content is not None:
        sections[name] = content
    return pack(
        engine=artifact.engine,
        features=artifact.features,
        accepts_missing=artifact.accepts_missing,
        finite=artifact.finite,
        complete=artifact.complete,
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        sections=sections,
    )
