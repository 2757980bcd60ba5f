"""What tests of several rooms share; what one room alone needs stays in its own `conftest.py`.

- `project/`: the files of a small project, parcels that are late or not; `parcels` makes its drops.
- `line`: the demo's people at work on that project, from pull request to release.
- `stages_in_process`: its stages without DVC, so that a candidate is trained in a second.
- `shop`: a repository with one table and no model.
- `models`, `model_server`: saved models, a registry of them, and a scoring server in a thread.
- `forge_worlds`, `github_server`: a forge in a folder and one that answers as GitHub, with people.
- `s3_server`, `memory`: a bucket on loopback, and the peak memory of a piece of code.
"""
