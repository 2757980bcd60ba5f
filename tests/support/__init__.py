"""What tests of several rooms share; what one room alone needs stays in its own `conftest.py`.

- `project/`: the files of a small project, parcels that are late or not; `parcels` makes its drops.
- `line`: the demo's people at work on that project, from pull request to release.
- `stand_ins`: its stages without DVC, and its release without a smoke test.
- `shop`: a repository with one table and no model.
- `models`, `model_server`: saved models, a registry of them, and a scoring server in a thread.
- `forge_worlds`, `github_server`: a forge in a folder and one that answers as GitHub, with people.
- `s3_server`, `memory`: a bucket on loopback, and the peak memory of a piece of code.
"""
