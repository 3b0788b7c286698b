"""A hook of mkdocs: a link out of docs/ to a file of the checkout becomes its name.

A link to a file that does not exist is left alone, so that the strict build fails on it.
"""

import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return a page's text without links that lead out of the site."""
    folder = (_ROOT / "docs" / page.file.src_uri).parent

    def name(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        outside = target.is_relative_to(_ROOT) and not target.is_relative_to(_ROOT / "docs")
        if not outside or not target.exists():
            return match[0]
        return f"{match[1]} (`{target.relative_to(_ROOT).as_posix()}`)"

    return _LINK.sub(name, markdown)
