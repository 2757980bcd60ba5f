"""The outside systems, each behind an adapter of its own.

    git/     commits, trees and tags             forge/   pull requests and their comments
    dvc/     drops and stages                    mlflow/  runs and the model registry
    drops/   files as they arrived               delta/   tables of their rows

    bundles.py          a bundle as a folder on disk
    row_files.py        the holdout and training rows that stages leave
    model_folder.py     an MLflow model on disk, loaded for predictions
    scoring_server.py   a scoring server, asked over HTTP or run for a while

An adapter takes and gives the core's dataclasses, and makes its system's errors those of
`mergeline.errors`, each in one place that its package names. It may import the core and
`mergeline.system`, never another adapter. Heavy libraries are imported by the function that needs
them, or by a module that is imported late.
"""
