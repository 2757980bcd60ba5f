"""The Open Inference Protocol (KServe's and Triton's v2), over REST.

A column is a tensor of that name, of shape [n] or [n, 1]; the answer is one tensor `predict`.
Tensors may follow the JSON as bytes, as Triton's clients send them (its extension for binary data).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from mergeline.core.compare.result import InputColumn
from mergeline.errors import InputError, MergelineError
from mergeline.serving.http import Answer, BodyError, json_answer, parse_json
from mergeline.serving.rows import Batch, check_count, check_names, checked
from mergeline.serving.served_versions import Asking, ServedModel, ServedVersion, plain

OUTPUT = "predict"
BINARY = "inference-header-content-length"
# Data types of the protocol by those of a signature; the first is what metadata say.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "double": ("FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT8", "UINT16", "UINT32"),
    "float": ("FP32", "FP64", "INT64", "INT32", "INT16", "INT8", "UINT8", "UINT16", "UINT32"),
    "long": ("INT64", "INT32", "INT16", "INT8", "UINT8", "UINT16", "UINT32", "UINT64"),
    "integer": ("INT32", "INT64", "INT16", "INT8", "UINT8", "UINT16", "UINT32"),
    "boolean": ("BOOL",),
    "string": ("BYTES",),
    "datetime": ("BYTES",),
}
_FORMATS = {
    "FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4", "INT16": "<i2", "INT8": "<i1",
    "UINT64": "<u8", "UINT32": "<u4", "UINT16": "<u2", "UINT8": "<u1", "BOOL": "?",
}  # fmt: skip


def answer(served: ServedVersion, model: ServedModel, body: bytes, header_length: str) -> Asking:
    """What a version answers to an inference request.

    `header_length` is the length of the JSON where tensors follow it, and else empty.

    Raises:
        InputError: the request is not of the protocol, or its rows are not what the model takes.
    """
    end = len(body)
    if header_length:
        if not header_length.isdecimal() or not int(header_length[:18]) <= len(body):
            raise BodyError(f"{BINARY} is {header_length!r:.40}, of {len(body)} bytes")
        end = int(header_length)
    document = parse_json(body[:end], next_step='Send {"inputs": [...]}', nan=True)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise BodyError('must be {"inputs": [...]}')
    _check_outputs(document)
    batch = _batch(_tensors(document["inputs"], body[end:]), model.inputs)
    predictions = yield batch
    output = {
        "name": OUTPUT,
        "datatype": "FP64",
        "shape": list(predictions.shape),
        "data": predictions.ravel().tolist(),
        "parameters": {"classes": ",".join(str(plain(label)) for label in model.classes)},
    }
    said = {
        "model_name": served.version.model,
        "model_version": str(served.version.number),
        "parameters": {"model_digest": served.version.model_digest},
        "outputs": [output],
    }
    if isinstance(document.get("id"), str):
        said["id"] = document["id"]
    return json_answer(said, rows=batch.size)


def _check_outputs(document: Mapping[str, Any]) -> None:
    outputs = document.get("outputs") or []
    if not isinstance(outputs, list):
        raise InputError("must be a list", where="outputs")
    for output in outputs:
        name = output.get("name") if isinstance(output, dict) else output
        if name != OUTPUT:
            raise InputError(f"no output {name!r:.80} (it is {OUTPUT!r})", where="outputs")


def _tensors(inputs: Sequence[Any], binary: bytes) -> dict[str, tuple[str, list[Any]]]:
    """The data type and the values of each tensor by its name."""
    tensors: dict[str, tuple[str, list[Any]]] = {}
    for number, tensor in enumerate(inputs):
        where = f"inputs[{number}]"
        name, shape, kind = _described(tensor, where)
        if name in tensors:
            raise InputError(f"{name!r:.80} appears more than once", where=where)
        rows = math.prod(shape)
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is None:
            values = tensor.get("data")
            if isinstance(values, list) and len(shape) == 2:
                values = [
                    one[0] if isinstance(one, list) and len(one) == 1 else one for one in values
                ]
        elif type(size) is not int or not 0 <= size <= len(binary):
            raise InputError("binary_data_size is beyond the body's end", where=where)
        else:
            values, binary = _unpacked(kind, binary[:size], where), binary[size:]
        if not isinstance(values, list) or len(values) != rows:
            raise InputError(f"'data' is not a list of {rows:,} values", where=where)
        tensors[name] = kind, values
    if binary:
        raise BodyError(f"{len(binary)} bytes belong to no tensor")
    return tensors


def _described(tensor: Any, where: str) -> tuple[str, list[int], str]:  # noqa: ANN401 - any JSON
    if not isinstance(tensor, dict):
        raise InputError("a tensor must be an object", where=where)
    name, shape, kind = tensor.get("name"), tensor.get("shape"), tensor.get("datatype")
    named = isinstance(name, str) and isinstance(kind, str)
    if not named or kind not in {*_FORMATS, "BYTES"}:
        raise InputError("a tensor needs a 'name' and a 'datatype'", where=where)
    if not _is_column(shape):
        raise InputError("the shape of a column is [n] or [n, 1]", where=where)
    if not isinstance(tensor.get("parameters") or {}, dict):
        raise InputError("'parameters' must be an object", where=where)
    return str(name), shape, str(kind)


def _is_column(shape: Any) -> TypeGuard[list[int]]:  # noqa: ANN401 - any JSON
    if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
        return False
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _unpacked(kind: str, data: bytes, where: str) -> list[Any]:
    import numpy as np

    try:
        if kind != "BYTES":
            values: list[Any] = np.frombuffer(data, dtype=_FORMATS[kind]).tolist()
            return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
        texts, place = [], 0
        while place < len(data):
            (size,) = struct.unpack_from("<I", data, place)
            text = data[place + 4 : place + 4 + size]
            if len(text) != size:
                raise InputError("a text ends too early", where=where)
            texts.append(text.decode())
            place += 4 + size
    except (ValueError, struct.error) as error:
        raise InputError(f"not of data type {kind}: {error}", where=where) from error
    return texts


def _batch(
    tensors: Mapping[str, tuple[str, list[Any]]], inputs: Mapping[str, InputColumn]
) -> Batch:
    sizes = {len(values) for _, values in tensors.values()}
    if len(sizes) != 1:
        raise InputError("tensors must be columns of equally many values", where="inputs")
    size = sizes.pop()
    check_count(size)
    check_names([dict.fromkeys(tensors)], inputs)
    columns = []
    for name, column in inputs.items():
        kind, values = tensors.get(name, ("", [None] * size))
        if kind and kind not in _TYPES[column.type]:
            raise InputError(f"is {kind}, not {_TYPES[column.type][0]}", where=name)
        columns.append(checked(name, column, values))
    return Batch(inputs, columns, size)


def server_metadata(version: str) -> dict[str, Any]:
    """What the server is."""
    return {"name": "mergeline", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(
    served: ServedVersion, model: ServedModel, versions: Sequence[int]
) -> dict[str, Any]:
    """The tensors that a model takes and gives."""
    shape = [-1, len(model.classes)] if model.classes else [-1]
    return {
        "name": served.version.model,
        "versions": [str(number) for number in versions],
        "platform": f"mergeline_{model.form.name}",
        "inputs": [
            {"name": name, "datatype": _TYPES[kind.type][0], "shape": [-1]}
            for name, kind in model.inputs.items()
        ],
        "outputs": [{"name": OUTPUT, "datatype": "FP64", "shape": shape}],
        "parameters": {"model_digest": served.version.model_digest},
    }


def refusal(error: MergelineError, status: int) -> Answer:
    """An error as the protocol has it."""
    return json_answer({"error": str(error)}, 400 if status == 422 else status)
