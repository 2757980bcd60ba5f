"""What a registered version is, and how its model is asked: Markdown for a registry's pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mergeline.core import numbers
from mergeline.core.declare.model import Model
from mergeline.core.gate.verdict import Situation
from mergeline.core.release.bundle import Candidate
from mergeline.core.release.facts import Facts, Time
from mergeline.core.release.ledger import Entry, page_name
from mergeline.core.report import safe, sentences, tables
from mergeline.core.report.content import Report
from mergeline.core.report.render import gfm
from mergeline.core.report.render.markdown import metrics_table
from mergeline.core.report.sentences import Span, say
from mergeline.core.report.view import view_of

_ROWS = 12  # of the metrics' table
_TIMES = 20


def version_text(facts: Facts, candidate: Candidate, report: Report | None) -> str:
    """What a released version is: verdict, metrics, who, out of what, and when in which stage."""
    parts = [*_verdict(report), _facts(facts, candidate), _times(facts.times)]
    return "\n\n".join(filter(None, parts)) + "\n"


def model_text(model: Model) -> str:
    """What a model is for, and how it is asked."""
    name = model.name
    asked = f"$MERGELINE_SERVER/models/{name}/stages/production/predict"
    python = (
        'client = mergeline.Client(os.environ["MERGELINE_SERVER"])',
        f'client.predict("{name}", rows).predictions',
    )
    shell = (
        f"curl {asked} -H 'content-type: application/json' -d '{{\"rows\": [{{…}}]}}'",
        f"mergeline score rows.parquet answers.parquet --model {name}@production",
    )
    parts = [
        safe.markdown(model.description, 2_000),
        "**Ask it** where `mergeline serve` runs; its page `/docs` has the columns and an example:",
        safe.fenced(list(shell)),
        "From Python:",
        safe.fenced(["import os, mergeline", "", *python]),
        f'With MLflow alone: `mlflow.pyfunc.load_model("models:/{name}@production")`.',
        f"Its versions come from pull requests; `models/{name}.yaml` says what they must reach.",
        "What is written here, `mergeline reconcile` writes again.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _verdict(report: Report | None) -> Iterator[str]:
    view = view_of(report) if report else None
    if report is None or view is None:
        return
    mark = sentences.MARKS[sentences.tone(report)]
    yield f"{mark} {gfm.sentence(sentences.headline(report))}"
    yield metrics_table(view, tables.main_rows(view)[:_ROWS])


def _facts(facts: Facts, candidate: Candidate) -> str:
    last, evaluation = facts.times[-1].entry, facts.evaluation
    first = facts.brought_by or last
    snapshots = ", ".join(
        f"{safe.markdown_code(use.table)} {numbers.counted(use.rows, 'row')} "
        f"({safe.markdown_code(use.digest[:12])})"
        for use in candidate.snapshots
    )
    gate = evaluation.gate_digest[:12] if evaluation else ""
    image_digest = last.image.rpartition(":")[2]
    lines = {
        "Pull request": _pull_request(first),
        "Author": safe.markdown(first.author),
        "Approved by": ", ".join(map(safe.markdown, first.approved_by)),
        "The bar was moved with the approval of": _approval(first),
        "Released in spite of the verdict": safe.markdown(first.override or ""),
        "Commit": safe.markdown_code(first.commit[:12]),
        "Data": snapshots,
        "Gate": safe.markdown_code(gate) if gate else "",
        "Image": safe.markdown_code(image_digest) if image_digest else "",
        "Model": safe.markdown_code(last.model_digest),
        "Fingerprint": safe.markdown_code(last.fingerprint),
    }
    return "\n".join(f"- {name}: {text}" for name, text in lines.items() if text)


def _pull_request(entry: Entry) -> str:
    if entry.pull_request is None:
        return ""
    number = f"#{entry.pull_request}"
    subject = safe.markdown(entry.subject.removesuffix(f"({number})").strip(), 200)
    if entry.pull_request_url:
        number = gfm.sentence(say(Span(str(entry.pull_request), "link", entry.pull_request_url)))
    return f"{number} {subject}"


def _approval(entry: Entry) -> str:
    said = entry.approval
    return safe.markdown(f"{said.by}: {said.reason}", 300) if said else ""


def _times(times: Sequence[Time]) -> str:
    lines = []
    for time in times[-_TIMES:]:
        entry = time.entry
        back = " again" if entry.kind is Situation.RESTORE else ""
        stage = "without a stage" if entry.stage == "None" else f"in {entry.stage.lower()}"
        place = f", in place of v{entry.replaced}" if entry.replaced else ""
        until = f"until {_when(time.until)}" if time.until else "until now"
        page = safe.markdown_code(page_name(entry.model, entry.sequence))
        at = _when(entry.released_at)
        lines.append(f"- {stage}{back} from {at} {until}{place} ({page})")
        if entry.taken_back:
            lines[-1] += f": what was deployed failed, {safe.markdown(entry.taken_back, 300)}"
    return "\n".join(lines)


def _when(at: str) -> str:
    return f"{at[:16].replace('T', ' ')} UTC"
