"""MLflow: candidates as runs, released models as registered versions, for people to look at.

    tracking.py   runs and registry of one store: `Tracking`
    runs.py       candidates and their evaluations, found by fingerprint
    registry.py   released versions, their stages as aliases and tags
    store.py      opens the store, and makes its errors ours

    >>> Tracking("sqlite:///mlflow.db", Path("artifacts")).find("delay", fingerprint)

MLflow's, its database's and its transport's errors become a `TrackingError` or `NotFoundError` in
`store.translated`.
"""
