"""MLflow's scoring protocol, as `mlflow models serve` speaks it.

The same requests, the same answers to the last bit, the same status codes. Two things differ: a
value that is not of its column's type is refused, where MLflow converts what it can (`"509"` for a
number, null for a text); and with `lenient` it is not, because then MLflow's own code answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergeline.errors import InputError, MergelineError
from mergeline.serving.http import JSON, Answer, BodyError, json_answer, parse_json
from mergeline.serving.rows import Batch, check_count, check_names, checked, to_batch
from mergeline.serving.served_versions import Asking, ServedModel, plain
from mergeline.serving.tables import CSV, PARQUET, read_csv, read_table

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_ONE_OF = f"The input must be a JSON object with exactly one of {', '.join(FORMATS)}"


def answer(model: ServedModel, body: bytes, content_type: str, *, lenient: bool) -> Asking:
    """What a model answers to a request of MLflow's protocol.

    Raises:
        InputError: the request is not of the protocol, or its rows are not what the model takes.
    """
    kind = media_type(content_type)
    if lenient:
        said: Answer = yield lambda: _by_mlflow(model, body, content_type)
        return said
    params: Mapping[str, Any] | None = None
    if kind == CSV:
        batch = read_csv(body, model.inputs)
    elif kind == PARQUET:
        batch = read_table(body, kind, model.inputs)
    else:
        quick = model.reader.quick("dataframe_records", body)
        batch, params = (quick, None) if quick else _read(body, model)
    if model.answers_as_mlflow and not params:
        return json_answer({"predictions": (yield batch).tolist()}, rows=batch.size)
    if model.labels_as_mlflow and not params:
        labels = [plain(model.classes[place]) for place in (yield batch).argmax(axis=1)]
        return json_answer({"predictions": labels}, rows=batch.size)
    answered: Answer = yield lambda: _by_pyfunc(model, batch, params)
    return answered


def media_type(content_type: str) -> str:
    """The media type of a request.

    Raises:
        BodyError: MLflow takes no such type.
    """
    kind, *settings = (part.strip() for part in content_type.split(";"))
    for setting in settings:
        name, _, value = setting.partition("=")
        if name != "charset" or value.lower() != "utf-8":
            raise BodyError(f"content type with {setting!r:.60}", status=415)
    if kind not in {JSON, CSV, PARQUET}:
        raise BodyError(
            f"of content type {kind!r:.60}",
            status=415,
            next_step=f"Send {JSON}, {CSV} or {PARQUET}",
        )
    return kind


def _read(body: bytes, model: ServedModel) -> tuple[Batch, Mapping[str, Any] | None]:
    document = parse_json(body, next_step=_ONE_OF, nan=True)
    if not isinstance(document, dict):
        raise BodyError(_ONE_OF)
    formats = [name for name in FORMATS if name in document]
    if len(formats) != 1:
        raise BodyError(f"{_ONE_OF}; it has {', '.join(map(repr, document)) or 'none':.200}")
    params = document.get("params")
    if params is not None and not isinstance(params, dict):
        raise BodyError("'params' must be an object")
    return _rows(formats[0], document[formats[0]], model), params


def _rows(name: str, content: Any, model: ServedModel) -> Batch:  # noqa: ANN401 - any JSON
    if name == "dataframe_split":
        return _split(content, model)
    if name in {"inputs", "instances"} and isinstance(content, dict):
        return _columns(content, model)
    if name == "inputs" and isinstance(content, list) and not content:
        raise InputError("no rows", where="inputs")
    return to_batch(content, model.inputs)


def _split(content: Any, model: ServedModel) -> Batch:  # noqa: ANN401 - any JSON
    where = "dataframe_split"
    if not isinstance(content, dict) or not {"data"} <= content.keys() <= {
        "data",
        "columns",
        "index",
    }:
        raise InputError("must be an object of 'data', 'columns' and maybe 'index'", where=where)
    names, data = content.get("columns"), content["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("'columns' must be a list of names", where=where)
    if len(set(names)) != len(names):
        raise InputError("a column's name appears more than once", where=where)
    if not isinstance(data, list):
        raise InputError("'data' must be a list of rows", where=where)
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise InputError(f"must be a list of {len(names)} values", where=f"rows[{number}]")
    index = content.get("index")
    if index is not None and (not isinstance(index, list) or len(index) != len(data)):
        raise InputError("'index' must have one entry for each row", where=where)
    return to_batch([dict(zip(names, row, strict=True)) for row in data], model.inputs)


def _columns(content: Mapping[str, Any], model: ServedModel) -> Batch:
    """Columns by name, each a list of values; or one row."""
    lists = [name for name, value in content.items() if isinstance(value, list)]
    if not lists:
        return to_batch([content], model.inputs)
    sizes = {len(content[name]) for name in lists}
    if len(lists) != len(content) or len(sizes) != 1:
        raise InputError("must be columns of equally many values", where="inputs")
    size = sizes.pop()
    check_count(size)
    check_names([dict.fromkeys(content)], model.inputs)
    columns = [
        checked(name, kind, content.get(name) or [None] * size)
        for name, kind in model.inputs.items()
    ]
    return Batch(model.inputs, columns, size)


def _by_pyfunc(model: ServedModel, batch: Batch, params: Mapping[str, Any] | None) -> Answer:
    """The answer where it is another than the estimator's probabilities or numbers."""
    from mlflow.pyfunc.scoring_server import predictions_to_json

    text = _Text()
    predictions_to_json(model.loaded.predict_as_mlflow(batch.frame(), params), text)
    return Answer("".join(text).encode(), rows=batch.size)


class _Text(list[str]):
    """Takes what MLflow writes."""

    def write(self, part: str) -> None:
        self.append(part)


def _by_mlflow(model: ServedModel, body: bytes, content_type: str) -> Answer:
    """The answer of MLflow's own scoring server, by its own code."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    pyfunc = model.loaded.pyfunc
    schema = pyfunc.metadata.get_input_schema()
    try:
        with model.loaded.one_thread():
            said = scoring_server.invocations(body, content_type, pyfunc, schema)
    except MlflowException as error:
        text = error.serialize_as_json()
        return Answer(text.encode(), error.get_http_status_code())
    return Answer(said.response.encode(), said.status, said.mimetype)


def refusal(error: MergelineError, status: int) -> Answer:
    """An error as MLflow's clients expect it."""
    status = 400 if status == 422 else status
    code = {
        400: "BAD_REQUEST",
        401: "UNAUTHENTICATED",
        404: "RESOURCE_DOES_NOT_EXIST",
        503: "TEMPORARILY_UNAVAILABLE",
    }.get(status, "INVALID_PARAMETER_VALUE" if status < 500 else "INTERNAL_ERROR")
    return json_answer({"error_code": code, "message": str(error)}, status)
