"""The ledger: the append-only record of releases, one page a release."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mergeline.core.declare.strict import read_json, write_json
from mergeline.core.gate.verdict import Approval, Situation
from mergeline.core.release.version import RegistryStage
from mergeline.errors import DeclarationError

LEDGER = "release"  # namespace of the tags
_PAGE_NAME = re.compile(rf"{LEDGER}/(?P<model>[^/]+)/(?P<sequence>\d{{4,15}})")
FORMAT = 1
_WHERE: Mapping[RegistryStage, str] = {
    "Production": "into production",
    "Staging": "into staging",
    "Archived": "into the archive",
    "None": "out of all stages",
}


@dataclass(frozen=True)
class Entry:
    """One page of the ledger: the message of the tag `release/<model>/<sequence>`.

    Attributes:
        kind: first, change, or restore when an earlier release went back into production.
        run_id: of the run that people see in MLflow; empty where none is written.
        replaced: the version that was in production before.
        verdict: of the gate; None for a restore, which is exempt.
        override: a person's reason to release in spite of the verdict.
        released_at: ISO 8601, UTC.
        better: whether its evaluation showed it better than what it replaced; pages that were
            written before this was noted say no.
        holdout_moved: whether it moved its holdout by more than drops.
        approval: a person's yes to what it moves of its bar.
        pull_request_url: of its page, where the forge has pages.
        approved_by: who approved the pull request, by the forge.
        evaluation: digest of the evaluation that let it through; empty for a restore.
        stage: that the version enters. What leaves production does so by another's page only.
        image: that serves it, by its digest; empty where none was built.
        taken_back: why the version that entered the stage before failed where it was deployed, and
            gave way to this one again, or to none.
        moved_by: who moved it into production, where a person must.
        attempt: to write it, as no other: of two machines' pages that else say the same, also at
            the same second, only one is in the ledger.
    """

    format: int
    model: str
    sequence: int
    kind: Situation
    version: int
    fingerprint: str
    model_digest: str
    run_id: str
    commit: str
    subject: str
    author: str
    pull_request: int | None
    replaced: int | None
    verdict: str | None
    override: str | None
    released_at: str
    better: bool = False
    holdout_moved: bool = False
    approval: Approval | None = None
    pull_request_url: str | None = None
    approved_by: tuple[str, ...] = ()
    evaluation: str = ""
    stage: RegistryStage = "Production"
    image: str = ""
    taken_back: str = ""
    moved_by: str = ""
    attempt: str = ""


def page_name(model: str, sequence: int) -> str:
    """Name of a page's tag."""
    return f"{LEDGER}/{model}/{sequence:04d}"


def page_text(entry: Entry) -> str:
    """Message of a page's tag: a line for people, then JSON."""
    back = "back " if entry.kind is Situation.RESTORE else ""
    document = json.loads(write_json(entry))
    if entry.kind is Situation.CHANGE:
        document["kind"] = "release"  # what every page so far calls it
    text = json.dumps(document, indent=2, ensure_ascii=False)
    where = _WHERE[entry.stage]
    return f"{entry.model} v{entry.version} goes {back}{where}\n\n{text}\n"


@dataclass(frozen=True)
class Tag:
    """A tag under `release/` as it stands.

    Attributes:
        text: its message.
        commit: what an annotated tag names; empty if it is not annotated.
        sha: of the tag itself.
    """

    text: str
    commit: str
    sha: str = ""


@dataclass(frozen=True)
class Page:
    """A tag that has a page's name.

    Attributes:
        sha: of the tag.
        entry: what it says; None where it is no page.
        doubt: why it is none.
    """

    name: str
    model: str
    sequence: int
    sha: str
    entry: Entry | None
    doubt: str = ""


@dataclass(frozen=True)
class Judged:
    """What the store says of the candidate of a fingerprint.

    Attributes:
        passed: whether an evaluation of it passed the gate.
        override: a person's recorded reason to release it all the same.
    """

    model_digest: str
    passed: bool
    override: str | None = None


@dataclass(frozen=True)
class Ledger:
    """The releases of one model that are believed, and what else bears a page's name.

    Attributes:
        moves: all pages, oldest first: of production, and of the other stages.
        doubts: one sentence for each tag that is not believed, and each gap.
        next: the number of the next page: the first that no tag has.
    """

    moves: tuple[Entry, ...] = ()
    doubts: tuple[str, ...] = ()
    next: int = 1

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The releases, oldest first: what went into production."""
        return tuple(move for move in self.moves if move.stage == "Production")

    def has_released(self, fingerprint: str) -> bool:
        """Whether a fingerprint was in production, and was not taken back at once."""
        after = [*self.entries[1:], None]
        return any(
            entry.fingerprint == fingerprint and not (following and following.taken_back)
            for entry, following in zip(self.entries, after, strict=True)
        )

    @property
    def champion(self) -> Entry | None:
        """The release that is in production by the ledger; None before the first."""
        return self.entries[-1] if self.entries else None

    def number_of(self, fingerprint: str) -> int:
        """The version that a fingerprint was released as, or the next that none has been."""
        known = (move.version for move in self.moves if move.fingerprint == fingerprint)
        return next(known, max((move.version for move in self.moves), default=0) + 1)


def read_pages(tags: Mapping[str, Tag]) -> tuple[Page, ...]:
    """The tags that have a page's name, by model and number; those of other forms are no pages."""
    pages = []
    for name, tag in tags.items():
        named = _PAGE_NAME.fullmatch(name)
        if named is None:
            continue
        model, sequence = named["model"], int(named["sequence"])
        try:
            entry = read_json(Entry, "{" + tag.text.partition("{")[2], where=name)
        except DeclarationError as error:
            doubt = f"it is no page ({error.message.splitlines()[0]:.200})"
            pages.append(Page(name, model, sequence, tag.sha, None, doubt))
            continue
        doubt = ""
        if page_name(entry.model, entry.sequence) != name:
            doubt = "the page is another than its name says"
        elif entry.format != FORMAT:
            doubt = f"the page has format {entry.format}, and {FORMAT} is read here"
        elif entry.commit != tag.commit:
            doubt = "the tag does not name the commit that its page is of"
        pages.append(Page(name, model, sequence, tag.sha, None if doubt else entry, doubt))
    return tuple(sorted(pages, key=lambda page: (page.model, page.sequence)))


def believe(
    pages: Sequence[Page], judged: Mapping[str, Judged], doubted: Mapping[str, str] | None = None
) -> Ledger:
    """The ledger of one model out of its pages.

    A page is believed only if the store has what was released: the candidate of that
    fingerprint with those bytes, and an evaluation of it that passed or a person's override. A
    page that contradicts those before it is not believed either. So whoever may push tags, and no
    more, releases nothing.

    Args:
        pages: of one model, by number.
        judged: what the store says of the model's candidates, by fingerprint.
        doubted: by name, what else speaks against a page, such as a missing signature.
    """
    entries: list[Entry] = []
    doubts: list[str] = []
    last, between, released = None, 0, set[str]()  # in production; pages from there on
    following = 1
    for page in pages:
        if page.sequence > following:
            missing = page_name(page.model, following)
            doubts.append(f"{missing}: there is no such page, but later ones")
        following = page.sequence + 1
        entry = page.entry
        if entry is None:
            doubts.append(f"{page.name}: {page.doubt}")
            continue
        why = (doubted or {}).get(page.name) or unbacked(entry, judged.get(entry.fingerprint))
        why = why or _contradiction(entry, last, between, released)
        if why:
            doubts.append(f"{page.name}: {why}")
            continue
        entries.append(entry)
        if entry.stage == "Production":
            last, between = entry, 0
            released.add(entry.fingerprint)
        between += 1
    taken = {page.sequence for page in pages}
    following = entries[-1].sequence + 1 if entries else 1
    while following in taken:
        following += 1
    return Ledger(tuple(entries), tuple(doubts), following)


def unbacked(entry: Entry, judged: Judged | None) -> str:
    """What the store has against a page; empty if nothing."""
    of = f"of fingerprint {entry.fingerprint[:8]}"
    if judged is None:
        return f"the store has no candidate {of}"
    if judged.model_digest != entry.model_digest:
        return f"the store has model {judged.model_digest[:8]} {of}, not {entry.model_digest[:8]}"
    if not judged.passed and not judged.override:
        return "no evaluation of its candidate passed, and nobody recorded an override"
    return ""


def _contradiction(
    entry: Entry, last: Entry | None, between: int, released: Collection[str]
) -> str:
    """What the pages before it have against a page; empty if nothing.

    Args:
        entry: the page.
        last: the last release before it.
        between: how many pages there are from that one on.
        released: the fingerprints of all releases before it.
    """
    if entry.stage != "Production":
        if last and last.version == entry.version:
            return "it takes what is in production out of it, and puts nothing in its place"
        return ""
    if entry.kind is Situation.RESTORE and entry.fingerprint not in released:
        return "it restores what no page before it released"
    if entry.kind is Situation.FIRST and last:
        return "it calls itself the first release, and there is one before it"
    if last and last.sequence == entry.sequence - between and entry.replaced != last.version:
        replaced = f"v{entry.replaced}" if entry.replaced else "nothing"
        return f"it says that it replaced {replaced}, and v{last.version} was in production"
    return ""
