"""mergeline's own protocol: `{"rows": [{column: value, …}, …]}`, or a table in Arrow or Parquet."""

from __future__ import annotations

from mergeline.errors import MergelineError
from mergeline.serving.http import Answer, BodyError, json_answer, parse_json
from mergeline.serving.rows import Batch, to_batch
from mergeline.serving.served_versions import Asking, ServedModel, ServedVersion, plain
from mergeline.serving.tables import ARROW, PARQUET, read_table, write_table


def answer(
    served: ServedVersion, model: ServedModel, body: bytes, *, kind: str = "", wanted: str = ""
) -> Asking:
    """What a version answers to a body, with its name and digest.

    `kind` is the content type of the body, JSON unless it is one of a table; `wanted` is the one
    that the client accepts.

    Raises:
        BodyError: the body is not `{"rows": […]}`, nor a table.
        InputError: the rows are not what the model takes, or it has no finite answer to one.
    """
    batch = model.reader.quick("rows", body) or _read(model, body, kind)
    predictions = yield batch
    if wanted in {ARROW, PARQUET}:
        table = write_table(predictions, answer_columns(model), wanted)
        return Answer(table, kind=wanted, rows=batch.size)
    document = {**served.described, "predictions": predictions.tolist()}
    return json_answer(document, rows=batch.size)


def answer_columns(model: ServedModel) -> list[str]:
    """The names of the columns of an answer that is a table."""
    return [f"probability_{plain(label)}" for label in model.classes] or ["prediction"]


def refusal(error: MergelineError, status: int) -> Answer:
    """An error as this protocol says it."""
    document = {"message": error.message, "where": error.where, "next_step": error.next_step}
    return json_answer({"error": document}, status)


def _read(model: ServedModel, body: bytes, kind: str) -> Batch:
    if kind in {ARROW, PARQUET}:
        return read_table(body, kind, model.inputs)
    document = parse_json(body, next_step='Send {"rows": [...]}')
    if not isinstance(document, dict) or set(document) != {"rows"}:
        raise BodyError('must be {"rows": [...]} and nothing else')
    return to_batch(document["rows"], model.inputs)
