"""One file for each verb: what `mergeline <verb>` does.

In the order of a change's life:

    init       makes a repository a project; `example` makes a whole small one
    plan       says what a change will cause, before anything runs
    snapshot   has the tables hold what pointers and contracts say
    evaluate   trains the candidate, unless it is known, and has it judged
    report     finds an evaluation's report and shows it again
    track      takes a judged bundle into the store, and shows it in MLflow
    comment    shows a bundle's reports on its pull request
    release    puts the reviewed model of HEAD into production
    status     compares what should serve with what does
    history    reads the ledger
    reproduce  trains a candidate again
    reconcile  writes into MLflow again what store and ledger have
    ui         opens MLflow's pages over them
    store      deletes candidates that nothing pins
    data       shows, compares, exports and cleans up snapshots
    contract   holds contracts and drops against what they must be

`serve` is the floor `serving`, and `demo` is a floor too; `contract infer` needs no project, so the
command line calls `adapters.drops.infer`. A verb's file is named after it, and its function takes
the project:

    outcomes = evaluate(Project.at(), say=print)

A verb gathers by way of steps and adapters, lets the core decide, and applies. It prints nothing:
the command line does. No verb imports another: what two verbs need is a step.
"""
