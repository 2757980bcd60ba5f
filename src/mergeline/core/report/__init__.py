"""The report: the verdict and its evidence, as Markdown, JSON, HTML and for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mergeline.core.report.content import (
    FORMAT,
    Attribution,
    Champion,
    DataChange,
    Failure,
    Moved,
    OnMerge,
    Report,
    Run,
    Share,
    Subject,
    read_report,
    write_json,
)
from mergeline.core.report.render.markdown import to_markdown
from mergeline.core.report.render.plots import curves

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "FORMAT",
    "Attribution",
    "Champion",
    "DataChange",
    "Failure",
    "Moved",
    "OnMerge",
    "Report",
    "Run",
    "Share",
    "Subject",
    "curves",
    "read_report",
    "terminal_text",
    "to_html",
    "to_markdown",
    "to_terminal",
    "write_json",
]


def to_html(report: Report) -> str:
    """One self-contained page; the same bytes for the same report."""
    from mergeline.core.report.render import html

    return html.to_html(report)


def to_terminal(report: Report) -> RenderableType:
    """For a rich console, which decides about colour."""
    from mergeline.core.report.render import terminal

    return terminal.to_terminal(report)


def terminal_text(report: Report, width: int = 100) -> str:
    """What the terminal shows, without colour."""
    from mergeline.core.report.render import terminal

    return terminal.terminal_text(report, width)
