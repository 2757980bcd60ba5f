"""Plan a release, and keep its record.

A release puts the reviewed model of a commit into production. This room decides which steps that
takes. It compares the target (what Git says should serve) with live (what registry, ledger and
server say does serve). Applied, the steps leave a state for which the plan is empty, so a release
that was killed is finished by running it again (law 7).

    bundle   what one job leaves for another: a folder held together by digests
    version  a version of a model in the registry
    ledger   the record of releases: an annotated Git tag for each, and which tags are believed
    lineage  the release that small steps are summed from, the last move of the holdout
    plan     the steps from live to target, or the reasons to refuse

For example, after a revert:

    plan = plan_release(target, live)
    plan.kind         # "restore": the ledger knows this fingerprint
    plan.steps        # record, promote: nothing is trained and nothing judged
    plan.missing      # or what must be judged or smoke-tested first, which a release does not do

The steps are taken by `lifecycle.verbs.release`. This room may import the rooms before it: declare,
fingerprint, data, compare and gate.
"""
