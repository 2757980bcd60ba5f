from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergeline.core.report.content import Report
from mergeline.core.report.render.html import to_html
from mergeline.core.report.render.plots import curves
from mergeline.core.report.render.plots import forests as forests_of
from mergeline.core.report.view import view_of
from tests.core.report.examples import ALL, INCONCLUSIVE, NASTY, PASS
from tests.core.report.poison import poisoned
from tests.core.report.test_safe import WORDS

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its attributes, its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def forests(report: Report) -> dict[str, str]:
    view = view_of(report)
    assert view is not None
    return forests_of(view)


USUAL = {tag for report in ALL.values() for tag in Page(to_html(report)).tags}


def loads(page: Page) -> list[tuple[str, str, str]]:
    """Attributes that would make a browser fetch or run something."""
    return [
        attribute
        for attribute in page.attributes
        if attribute[1] in {"src", "srcset", "style", "background", "data", "action", "poster"}
        or attribute[1].startswith("on")
        or (attribute[1] in {"href", "xlink:href"} and attribute[0] != "a")
    ]


@pytest.mark.parametrize("name", ALL)
def test_the_page_asks_nothing_of_any_network_and_runs_nothing(name: str) -> None:
    text = to_html(ALL[name])
    page = Page(text)
    assert not page.tags & {"script", "iframe", "link", "img", "object", "embed", "form", "base"}
    assert loads(page) == []
    assert not re.search(r"@import|url\(", text)
    assert "default-src 'none'" in text


def test_the_same_report_gives_the_same_page() -> None:
    assert to_html(PASS) == to_html(PASS)


def test_the_run_is_linked_where_it_has_a_page() -> None:
    address = "https://mlflow.example.org/#/experiments/1/runs/77e0c1"
    assert ("a", "href", address) in Page(to_html(INCONCLUSIVE)).attributes
    assert "javascript:" not in to_html(NASTY)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(ALL)), st.lists(WORDS, min_size=1, max_size=4))
def test_words_of_strangers_are_words_in_the_page_too(name: str, words: list[str]) -> None:
    text = to_html(poisoned(ALL[name], itertools.cycle(words).__next__))
    page = Page(text)
    assert page.tags <= USUAL
    assert loads(page) == []
    text.encode()


@settings(max_examples=15, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4))
def test_plots_are_well_formed_whatever_the_names(words: list[str]) -> None:
    report = poisoned(PASS, itertools.cycle(words).__next__)
    for drawn in [*curves(report).values(), *forests(report).values()]:
        ET.fromstring(drawn)


def test_a_plot_that_stands_alone_brings_its_colours_for_light_and_dark() -> None:
    for drawn in curves(PASS).values():
        assert drawn.startswith('<?xml version="1.0" encoding="UTF-8"?>')
        assert "prefers-color-scheme: dark" in drawn


def test_there_is_an_interval_for_each_metric_and_each_judged_slice() -> None:
    drawn = forests(PASS)
    assert list(drawn) == ["ROC AUC", "recall", "log loss", "Brier score"]
    assert drawn["ROC AUC"].count("<circle") == 1 + 12
    assert drawn["log loss"].count("<circle") == 1


def test_a_loss_is_drawn_with_less_to_the_right() -> None:
    labels = re.findall(r'text-anchor="middle">([^<]+)<', forests(PASS)["log loss"])
    assert labels[0] == "0"
    assert labels[-1].startswith("−0.00")
