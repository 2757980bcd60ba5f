"""What the server says of itself: OpenAPI, the page for people, and the counts."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mergeline.serving.served_versions import ServedVersions
from mergeline.serving.tables import ARROW, PARQUET
from tests.support.model_server import Registry
from tests.support.models import ROW, classifier, frame, save

PREDICT = "/models/delay/stages/production/predict"


@pytest.fixture
def production(registry: Registry, served_versions: ServedVersions, tmp_path: Path) -> None:
    rows = frame()
    folder = save(classifier(0.01), tmp_path / "model", rows, input_example=rows.head(1))
    registry.register(folder, "Production")
    served_versions.reconcile()


@pytest.mark.usefixtures("production")
def test_openapi_has_each_version_s_columns_and_an_example_that_is_answered(
    http: httpx.Client,
) -> None:
    document = http.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    described = document["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
    row = described["schema"]["properties"]["rows"]["items"]
    assert row["properties"]["hour"] == {"type": "integer", "format": "int64"}
    assert row["properties"]["wind"]["type"] == ["number", "null"]
    assert described["example"]["rows"][0]["origin"] in {"EWR", "JFK", "LGA"}
    assert http.post(PREDICT, json=described["example"]).status_code == 200


@pytest.mark.usefixtures("production")
def test_the_page_for_people_has_each_model(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert f"POST {PREDICT}" in page.text
    assert "<td>wind<td>double" in page.text


@pytest.mark.usefixtures("production")
def test_metrics_count_requests_errors_rows_and_time_by_version(http: httpx.Client) -> None:
    http.post(PREDICT, json={"rows": [ROW, ROW]})
    http.post(PREDICT, json={"rows": [ROW | {"hour": "x"}]})
    http.post("/invocations", json={"dataframe_records": [ROW]})
    lines = http.get("/metrics").text.splitlines()
    for protocol, status in [("native", 200), ("native", 422), ("mlflow", 200)]:
        labels = f'model="delay",protocol="{protocol}",status="{status}",version="1"'
        assert f"mergeline_requests_total{{{labels}}} 1.0" in lines
    assert 'mergeline_request_seconds_count{model="delay",version="1"} 3.0' in lines
    assert 'mergeline_batch_rows_sum{model="delay",version="1"} 3.0' in lines
    by_step = [line for line in lines if line.startswith("mergeline_probabilities_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in by_step) == 3
    assert "mergeline_ready 1.0" in lines


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_tables_go_in_and_out(http: httpx.Client, kind: str) -> None:
    rows = frame(rows=50_000)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    sink = io.BytesIO()
    if kind == PARQUET:
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    headers = {"content-type": kind, "accept": kind}
    answer = http.post(PREDICT, content=sink.getvalue(), headers=headers, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["mergeline-version"] == "1"
    said = (
        pq.read_table(io.BytesIO(answer.content))
        if kind == PARQUET
        else pa.ipc.open_stream(answer.content).read_all()
    )
    assert said.column_names == ["probability_False", "probability_True"]
    some = http.post(PREDICT, json={"rows": rows.tail(3).to_dict("records")}).json()
    assert said.slice(len(rows) - 3).to_pandas().to_numpy().tolist() == some["predictions"]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wind": "x"}, "'x' is not of type double"),
        ({"hour": 1.5}, "1.5 is not a whole number"),
        ({"origin": None}, "null, where the model has always had a value"),
        ({"wind": float("inf")}, "beyond the largest double"),
    ],
)
def test_a_table_is_checked_as_rows_are(
    http: httpx.Client, change: dict[str, object], said: str
) -> None:
    sink = io.BytesIO()
    pd.DataFrame([ROW | change]).to_parquet(sink)
    answer = http.post(PREDICT, content=sink.getvalue(), headers={"content-type": PARQUET})
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


@pytest.mark.usefixtures("production")
def test_a_small_parquet_file_of_endless_text_is_refused(http: httpx.Client) -> None:
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 90_000), pa.array(["x" * 1_000_000]))
    table = pa.table({"origin": same, "hour": [1] * 90_000, "wind": [1.0] * 90_000})
    sink = io.BytesIO()
    pq.write_table(table, sink, dictionary_pagesize_limit=2_000_000)
    answer = http.post(PREDICT, content=sink.getvalue(), headers={"content-type": PARQUET})
    assert answer.status_code == 422
    assert "its texts are too long" in answer.json()["error"]["message"]


@pytest.mark.slow
def test_requests_are_spans_below_the_caller_s_own_where_that_is_configured(
    first: Path,
) -> None:
    """In a process of its own: a tracer provider is set once and for all."""
    code = f"""
import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pathlib import Path
from tests.support.model_server import Registry, listening
from mergeline.serving.served_versions import ServedVersions

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
registry = Registry()
registry.register(Path({str(first)!r}), "Production")
held = ServedVersions(registry)
held.reconcile()
caller = "00-{"ab" * 16}-{"cd" * 8}-01"
with listening(held) as address:
    httpx.post(
        address + "/models/delay/stages/production/predict",
        json={{"rows": [{ROW!r}]}},
        headers={{"traceparent": caller}},
    ).raise_for_status()
(span,) = spans.get_finished_spans()
assert format(span.context.trace_id, "032x") == "{"ab" * 16}"
assert format(span.parent.span_id, "016x") == "{"cd" * 8}"
assert span.attributes["mergeline-version"] == "1"
print(span.name)
"""
    environment = {
        **os.environ,
        "OTEL_SERVICE_NAME": "mergeline",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "predict (native)\n", done.stderr
