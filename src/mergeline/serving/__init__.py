"""The scoring server: the registry's models over HTTP.

It follows the registry. A version is loaded only if its bytes have the registered digest, and the
version before it answers until then; each answer names the version and the digest that made it.

The files in the order of a request:

    server.py            the process: settings of uvicorn, the thread that follows the registry
    app.py               addresses and status codes; reads a body, refuses an invalid request
    served_versions.py   `ServedVersions` loads and swaps versions; `predict` asks one
    rows.py              from JSON rows to the data frame that the model's signature describes
    single.py            the same server over one model folder, behind walls, for the smoke test

`served_versions.py` and `rows.py` know nothing of HTTP:

    served_versions = ServedVersions(lambda: [version], lambda version, scratch: model_folder)
    served_versions.reconcile()
    predict(served_versions.by_stage("delay", "production"), [{"origin": "JFK", "hour": 17}])

It may import lifecycle and all below it. docs/serving.md tells users what the server promises.
"""
