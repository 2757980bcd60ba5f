from __future__ import annotations

import io
import itertools
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mergeline.core.report.render.terminal import plain_console, terminal_text, to_terminal
from tests.core.report.examples import ALL, PASS
from tests.core.report.poison import poisoned
from tests.core.report.test_safe import WORDS


def printed(*, terminal: bool) -> str:
    out = io.StringIO()
    system: Literal["truecolor", "auto"] = "truecolor" if terminal else "auto"
    console = Console(file=out, force_terminal=terminal, color_system=system, width=100)
    console.print(to_terminal(PASS))
    return out.getvalue()


def test_there_is_colour_in_a_terminal_and_none_in_a_file() -> None:
    assert "\x1b[1;32m" in printed(terminal=True)
    assert "\x1b" not in printed(terminal=False)


@pytest.mark.parametrize("name", ALL)
def test_a_report_fits_on_a_screen(name: str) -> None:
    lines = terminal_text(ALL[name], plain_console(120)).splitlines()
    assert len(lines) <= 38
    assert max(map(len, lines)) <= 120


def test_markup_in_a_name_is_no_markup() -> None:
    assert "[bold]x[/bold]" in terminal_text(poisoned(PASS, lambda: "[bold]x[/bold]"))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(ALL)), st.lists(WORDS, min_size=1, max_size=4))
def test_no_name_can_move_the_cursor(name: str, words: list[str]) -> None:
    text = terminal_text(poisoned(ALL[name], itertools.cycle(words).__next__))
    assert not set(map(ord, text)) & {*range(10), *range(11, 32), *range(127, 160)}
