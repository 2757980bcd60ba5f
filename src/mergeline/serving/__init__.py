"""The scoring server: the registry's models over HTTP.

It follows the registry. A version is loaded only if its bytes have the registered digest, and the
version before it answers until then; each answer names the version and the digest that made it.

The files in the order of a request:

    server.py            the process: what it serves, the thread that follows the registry
    connections.py       a connection: its limits, its quick answers, and how it ends
    app.py               status codes, and where the work is done
    routes.py            the addresses
    http.py              requests and answers; the body of a request
    native.py            mergeline's own protocol
    mlflow_protocol.py   MLflow's scoring protocol
    open_inference.py    the Open Inference Protocol
    description.py       OpenAPI, and the page for people
    metrics.py           what Prometheus reads
    tracing.py           spans for OpenTelemetry
    served_versions.py   `ServedVersions` loads and swaps versions; `predict` asks a model
    forms.py             the forms in which a model is asked
    steps.py             scikit-learn's first steps on plain values, for the faster forms
    many_rows.py         trees asked about many rows at once
    kept_forms.py        compiled forms on disk, for servers without scikit-learn
    proof.py             that a form answers as the model does
    batching.py          requests that wait are asked together
    workers.py           several processes on one socket
    registered.py        a project's registry as the source of models; one model loaded by itself
    score.py             a released model asked about files, without a server
    rows.py              from rows to the columns that the model's signature describes
    tables.py            the same from Arrow, Parquet and CSV
    strict_json.py       JSON, with limits that hold while it is read
    image.py             the server of an image: the one model that lies in it
    single.py            the same server over one model folder, behind walls, for the smoke test

`served_versions.py` and what is below it know nothing of HTTP:

    served_versions = ServedVersions(tracking)  # or any other `Source`
    served_versions.reconcile()
    model = model_of(served_versions.by_stage("delay", "production"))
    predict(model, to_batch([{"origin": "JFK", "hour": 17}], model.inputs))

It may import lifecycle and all below it. docs/serving.md tells users what the server promises.
"""
