"""Find what determines a model, and what a change to it will cause.

The fingerprint is the digest of everything in a Git tree that decides what a training gives: the
stages' commands, the parameters that they read, their code, the digests of the snapshots, the
dependency lock, and the folder that the model is taken from. The commit is not part of it. Two
trees with one fingerprint have one model, so nothing is trained twice (law 2).

    ingredients       what a fingerprint is made of, and how the ingredients of two trees differ
    undeclared_code   refuses a stage that imports code which no dependency names
    read_ingredients  reads a model's ingredients out of a tree, by means of the two above
    pins              finds a version that what stands for a lock leaves open
    change_plan       says what a change will cause, before anything runs

For example, `mergeline plan` after an edit of the learning rate:

    plan = plan_change("delay", before, after)
    plan.changes      # train.learning_rate is 0.05 instead of 0.1
    plan.run          # ("train", "evaluate"): the stages that run again

This room may import `core.declare`. It reads a tree through a small protocol, so it works on a Git
tree, a working copy, or a dict in a test.
"""
