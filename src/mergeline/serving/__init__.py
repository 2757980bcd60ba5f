"""The scoring server: the registry's models over HTTP.

It follows the registry. A version is loaded only if its bytes have the registered digest, and the
version before it answers until then; each answer names the version and the digest that made it.

The files in the order of a request:

    server.py   the process: settings of uvicorn, the thread that follows the registry, the end
    app.py      addresses and status codes; reads a body, refuses what is no prediction request
    plane.py    `Plane` loads the versions; `Routing` says which one answers; `predict` asks it
    rows.py     from JSON rows to the data frame that the model's signature describes
    single.py   the same server over one model folder, for the smoke test of a release

`plane.py` and `rows.py` know nothing of HTTP:

    plane = Plane(versions=lambda: [version], fetch=lambda version, folder: model_folder)
    plane.reconcile()
    predict(plane.by_stage("delay", "production"), [{"origin": "JFK", "hour": 17}])

It may import lifecycle and all below it. docs/serving.md tells users what the server promises.
"""
