"""Take a model from a Git tree into production: gather, let the core decide, apply.

This floor connects the decisions of `core` with the systems behind `adapters`. A verb is what a
person or a workflow asks for by name; a step is what several verbs need.

    steps/  the project and its parts; candidates; judging; what is live
    verbs/  one file for each verb of the command line

Each verb that changes something has three parts. For example, `release`:

    gather   read_target(…) from Git, read_live(…) from registry, ledger and server
    decide   plan_release(target, live), a function of the core
    apply    take the plan's steps one by one; `--plan` prints them instead

Applied twice, a verb changes nothing the second time. Killed anywhere and run again, it finishes
(law 7). A verb prints nothing: it returns dataclasses, and reports progress by the function `say`
that it is given.

This floor may import `adapters`, `core`, `system` and `errors`. `cli`, `serving` and `demo` stand
above it.
"""
