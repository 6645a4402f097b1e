"""The names in a certificate that grpcio hands over as PEM, once it has verified it.

Not those that grpcio lists itself (`peer_uri`, `peer_dns`): it cuts a name at its first NUL, so that
"croupier://cell/a\\0b" would be "croupier://cell/a" (seen with 1.85).
"""

from __future__ import annotations

from cryptography import x509

from croupier.roles import AltNames


def alt_names(pem: bytes) -> AltNames:
    """None of a certificate that is missing or cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return AltNames()
    return AltNames(
        tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        tuple(names.get_values_for_type(x509.DNSName)),
    )
