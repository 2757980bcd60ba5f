from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mergeline.core.compare.result import Difference, Measured, Other
from mergeline.core.gate.verdict import Judgement, Reason, Verdict
from mergeline.core.report.content import Report
from mergeline.core.report.render.html import to_html
from mergeline.core.report.render.markdown import SMALLEST, to_markdown
from mergeline.core.report.render.terminal import terminal_text
from tests.core.report.examples import ALL, FAIL, NASTY_NAME, PASS, comparison, metrics
from tests.core.report.poison import poisoned
from tests.core.report.test_safe import WORDS

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
BLOCKS = {
    "heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item",
    "inline", "fence", "html_block", "blockquote",
}  # fmt: skip
INLINE = {"text", "softbreak", "code_inline", "html_inline", "strong", "em", "link"}
TAGS = {"<code>", "</code>", "<b>", "</b>", "<span>", "</span>", "<sub>", "</sub>"}
SECTIONS = ["Who is hurt", "Data:", "Params:", "**Bar:**", "**On merge:**", "head `", "run `"]


def crowded(reasons: int, slices: int, name: str) -> Report:
    """A report that has far too much to say."""
    assert FAIL.comparison is not None
    two = [one for one in FAIL.comparison.slices if one.judged][:2]
    many = tuple(dataclasses.replace(two[n % 2], value=f"{n} {name}") for n in range(slices))
    why = tuple(Reason("margin", "fail", f"{n}: {name} is worse") for n in range(reasons))
    return dataclasses.replace(
        FAIL,
        comparison=dataclasses.replace(FAIL.comparison, slices=many),
        judgement=Judgement(Verdict("fail", why)),
        changes=tuple(
            dataclasses.replace(PASS.changes[1], what=f"train.{name}{n}") for n in range(reasons)
        ),
    )


def headline(markdown: str) -> str:
    return next(line for line in markdown.splitlines() if line.startswith("### "))


def test_the_comment_answers_in_the_order_in_which_a_reviewer_asks() -> None:
    text = to_markdown(PASS)
    places = [text.index(section) for section in ["### ✅", "ROC AUC 0.742", *SECTIONS]]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pass", "### ✅ `delay` may replace v3 — better"),
        ("fail", "### ❌ `delay` may not replace v3 — worse"),
        ("inconclusive", "### ❔ Can't tell whether `delay` may replace v3"),
        ("first", "### ✅ `delay` may be the first model in production"),
        ("failed", "### ❌ `delay` could not be evaluated: `train` failed"),
        ("nasty", "### ❌ `delay` may not replace v3 — better on ROC AUC, refused all the same"),
        ("same", "### ➖ `delay` stays as it is — nothing that determines the model changes"),
        ("restore", "### ✅ `delay` v4 goes back into production in place of v5 — better"),
    ],
)
def test_the_verdict_is_the_headline(name: str, expected: str) -> None:
    assert headline(to_markdown(ALL[name])) == expected


@pytest.mark.parametrize("render", [to_markdown, terminal_text, to_html])
@pytest.mark.parametrize(
    ("margin", "holds", "expected"),
    [
        (0.005, False, "worse, which a restore may be"),
        (None, None, "worse, which a restore may be"),
        (0.05, True, "worse, within the margin of 0.05"),
    ],
)
def test_worse_is_within_the_margin_only_where_the_margin_holds(
    render: Callable[[Report], str], margin: float | None, holds: bool | None, expected: str
) -> None:
    primary, *_ = metrics(worse=True)
    against: dict[Other, Difference] = {
        "champion": dataclasses.replace(
            primary.differences["champion"], margin=margin, margin_holds=holds
        )
    }
    worse = dataclasses.replace(primary, differences=against)
    text = render(
        dataclasses.replace(
            ALL["restore"],
            comparison=dataclasses.replace(comparison(), metrics=(worse,), slices=()),
        )
    )
    assert re.search(rf"in place of v5 — {expected}(</h1>)?\n", text)
    assert ("within the margin" in text) == bool(holds)


def test_a_moved_bar_comes_before_everything_else_and_shows_both_verdicts() -> None:
    text = to_markdown(ALL["moved"])
    assert text.startswith("> [!WARNING]\n> **The bar moved:**")
    assert "- gate: `metrics.roc_auc.margin` 0.005 → 0.05" in text
    assert (
        "By the gate of `main`, which counts: **fail**. By the gate of this change: **pass**."
        in text
    )
    assert text.index("The bar moved") < text.index("### ")


def test_a_stale_report_says_so_before_the_verdict() -> None:
    text = to_markdown(ALL["inconclusive"])
    assert text.index("`main` has 2 commits more than `41b7a90`") < text.index("### ")


def test_a_refused_change_releases_nothing() -> None:
    assert "**On merge:** Merging releases nothing; v3 stays in production." in to_markdown(FAIL)


def test_the_base_has_no_column_of_its_own_where_it_is_the_champion() -> None:
    assert "|  | v3 (production) | this change | change |  |" in to_markdown(PASS)
    other = dataclasses.replace(
        PASS, subject=dataclasses.replace(PASS.subject, base_fingerprint="d" * 64)
    )
    assert "|  | v3 (production) | main | this change |" in to_markdown(other)


def test_a_base_that_is_told_from_the_candidate_shows_another_number() -> None:
    """Though the digits are those of the difference from the model in production."""
    assert PASS.comparison is not None
    primary, *others = PASS.comparison.metrics
    near = dataclasses.replace(
        primary,
        values={**primary.values, "base": Measured(0.75109)},
        differences={
            **primary.differences,
            "base": dataclasses.replace(
                primary.differences["champion"], estimate=1e-5, low=5e-6, high=1.5e-5
            ),
        },
    )
    text = to_markdown(
        dataclasses.replace(
            PASS,
            comparison=dataclasses.replace(PASS.comparison, metrics=(near, *others)),
            subject=dataclasses.replace(PASS.subject, base_fingerprint="d" * 64),
        )
    )
    assert "| ROC AUC | 0.74230 | 0.75109 | **0.75110** |" in text


@pytest.mark.slow
@pytest.mark.parametrize("limit", [SMALLEST, 4_000, 20_000, 65_536])
@pytest.mark.parametrize(("reasons", "slices"), [(1, 400), (400, 1), (150, 150)])
def test_a_report_that_has_too_much_to_say_fits_and_says_what_it_left_out(
    limit: int, reasons: int, slices: int
) -> None:
    report = crowded(reasons, slices, NASTY_NAME)
    text = to_markdown(report, limit)
    assert len(text) <= limit
    assert headline(text) == "### ❌ `delay` may not replace v3 — worse"
    assert re.search(r"Cut to fit the comment:|… and [\d,]+ slices more", text)


def test_what_is_cut_first_matters_least() -> None:
    report = crowded(20, 150, "a carrier")
    full = to_markdown(report)
    cut = to_markdown(report, len(full) - 1)
    assert "mermaid" in full
    assert "mermaid" not in cut
    assert "Cut to fit the comment: curves." in cut
    assert cut.count("is worse") == full.count("is worse")


def test_a_room_too_small_for_a_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="1500 characters"):
        to_markdown(PASS, SMALLEST - 1)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(ALL)),
    st.lists(WORDS | WORDS.map(lambda text: text * 500), min_size=1, max_size=5),
    st.integers(SMALLEST, 65_536),
)
def test_whatever_the_words_in_it_a_report_keeps_its_shape_and_its_room(
    name: str, words: list[str], limit: int
) -> None:
    report = poisoned(ALL[name], itertools.cycle(words).__next__)
    text = to_markdown(report, limit)
    assert len(text) <= limit
    assert text.count("\n### ") + text.startswith("### ") == 1
    assert "<!--" not in text
    assert re.search(r"<details>", text) is None or text.count("<details>") == text.count(
        "</details>"
    )
    for token in READER.parse(text):
        assert token.type.removesuffix("_open").removesuffix("_close") in BLOCKS
        if token.type == "html_block":
            assert re.fullmatch(
                r"(<details><summary>.*</summary>|</details>|<sub>.*</sub>)\n?", token.content
            )
        for child in token.children or []:
            assert child.type.removesuffix("_open").removesuffix("_close") in INLINE
            assert child.type != "html_inline" or child.content in TAGS


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("character", "`$@#<a")
def test_the_smallest_room_holds_a_report_of_long_words(name: str, character: str) -> None:
    report = poisoned(ALL[name], lambda: character * 500)
    assert len(to_markdown(report, SMALLEST)) <= SMALLEST


def test_no_stranger_writes_into_a_diagram() -> None:
    def diagrams(report: Report) -> list[str]:
        return re.findall(r"```mermaid\n(.*?)```", to_markdown(report), re.DOTALL)

    assert len(diagrams(PASS)) == 3
    assert diagrams(poisoned(PASS, lambda: NASTY_NAME)) == diagrams(PASS)
