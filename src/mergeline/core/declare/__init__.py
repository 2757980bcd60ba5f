"""Read what a repository declares, strictly.

A declaration is a file that people write: `models/<name>.yaml`, `data/<table>.yaml`, a `.dvc` file,
`dvc.yaml`. This room turns its text into a frozen dataclass, or refuses it with the file, the place
in it and the nearest known word. It never guesses: an unknown key is an error, and so is text where
a number belongs.

    strict    YAML and JSON into dataclasses; all other files here use it
    pointer   a `.dvc` file: which drops stand behind it
    contract  `data/<table>.yaml`: what a table's drops must be
    model     `models/<name>.yaml`: what a model predicts, its metrics and its gate
    schemas   JSON schemas of the two, for editors
    stages    `dvc.yaml`: the stages, what they run, read and write

For example, with a spelling error in a gate:

    parse_model("delay", text)
    DeclarationError: models/delay.yaml: unknown key 'marging' in gate.metrics.recall
        (did you mean 'margin'?). Correct it and run again.

The texts come from the caller, which knows the Git tree that they stand in. This room comes first
in the core: it imports `mergeline.errors` only, and every other room may import it.
"""
