"""What several verbs need, from opening a project to telling what is live.

The steps, in the order in which an evaluation and a release come by:

    project                the repository, its systems, and where state lives
    project_tree           the declarations of one Git tree, each read once
    snapshots              have the tables hold what a tree's pointers and contracts say
    changed_drops          find drops in the working tree that are not what their pointers say
    case                   one model of one tree, and the base that it would be merged onto
    moved_bar              what a change edits of how it is judged (law 5)
    champion               the version in production
    candidates             find the model of a fingerprint, or train it
    smoke_test             whether a model's own server answers as the model does
    judging, attribution   score all models on the same rows, and split a difference by its causes
    data_changes           how the rows of a change differ from the base's
    evaluation, reporting  an evaluation from beginning to end, and its report
    live                   what is in production
    pinned_snapshots       which snapshots must stay readable (law 10)

For example, the command line gives each verb

    project = Project.at()      # the repository of the current folder, and where its state lives

A step may import adapters, the core, system, and steps that stand before it. It never imports a
verb.
"""
