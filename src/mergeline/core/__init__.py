"""Decide: frozen dataclasses in, frozen dataclasses out.

This floor holds what mergeline knows about models, data and releases. Its functions are pure. They
get all they need as arguments, the time included, and return plans, comparisons, verdicts and
reports as data. They open no file, start no process, and ask no clock and no network, so each can
be tried with a handful of values:

    plan_release(target, live).steps    # what to do, and why; nothing is done

The rooms are the steps of the line, in this order. Each may import the rooms before it.

    declare      reads what a repository declares: models, contracts, pointers, stages
    fingerprint  finds what determines a model, and what a change will cause
    data         describes snapshots, their differences, and what is wrong with a drop
    compare      holds models against each other on the same rows
    gate         turns a comparison into a verdict with reasons
    release      plans a release, and keeps the ledger and the form of a bundle
    report       says all of this to people and programs
    begin        finds what a repository lacks to be a project, and writes it

The core imports `mergeline.errors` and nothing else of mergeline. Numerical libraries (NumPy,
scipy, scikit-learn, pydantic) are imported inside functions. `tests/test_architecture.py` holds
both rules.
"""
