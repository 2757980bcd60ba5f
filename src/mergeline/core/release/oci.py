"""What artifacts and images have in common by the OCI image specification 1.1.

The same document is the same bytes, and is known by their digest.
"""

from __future__ import annotations

import hashlib
import json

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def canonical(document: object) -> bytes:
    """JSON with sorted keys and no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def digest_of(content: bytes) -> str:
    """The digest by which a document or blob is known: `sha256:` and 64 digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
