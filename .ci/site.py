"""Links from docs/ to the rest of the repository, which is no part of the site.

On the forge `../SECURITY.md` leads there (tests/test_documents.py looks whether it does). The site
names the forge's address instead.
"""

import re
from collections.abc import Mapping
from typing import Any


def on_page_markdown(markdown: str, *, config: Mapping[str, Any], **_: object) -> str:
    """Called by MkDocs with the text of each page."""
    return re.sub(r"(\]\()\.\./", rf"\1{config['repo_url']}/blob/main/", markdown)
