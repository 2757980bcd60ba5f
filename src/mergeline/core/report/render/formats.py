"""Every form of a report by its name, for `mergeline report --format` and for a bundle's files.

Each function imports its renderer only when it is called: HTML and the terminal each bring a
library of their own, which `mergeline --help` does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mergeline.core.report.content import Report


def _terminal(report: Report) -> str:
    from mergeline.core.report.render.terminal import terminal_text

    return terminal_text(report)


def _markdown(report: Report) -> str:
    from mergeline.core.report.render.markdown import to_markdown

    return to_markdown(report)


def _html(report: Report) -> str:
    from mergeline.core.report.render.html import to_html

    return to_html(report)


def _json(report: Report) -> str:
    from mergeline.core.declare.strict import write_json

    return write_json(report)


RENDERERS: Mapping[str, Callable[[Report], str]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "html": _html,
    "json": _json,
}
