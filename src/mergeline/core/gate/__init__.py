"""The gate: from a comparison to a verdict, with reasons.

The gate is the policy in `models/<name>.yaml`, read from the base's side (law 5). Its outcome on
one comparison is the verdict: pass, fail or inconclusive. docs/verdict.md lists every rule by name.

The files in the order of the step:

- `verdict`: the data. `Context` goes in beside the comparison, `Verdict` and `Judgement` come out.
- `subject`: what a rule looks at, and how it says a difference.
- `rules/`: one function a rule, each from the subject to reasons.
- `judge`: applies all rules, and makes one verdict of their reasons.

Example::

    context = Context("change", evaluated_on=date(2026, 1, 31))
    judge(model.gate, comparison, context)
    # Verdict("fail", (Reason("margin", "fail", "ROC AUC is worse by more than 0.005: …"), …))

May import `core.declare`, `core.compare` and `core.numbers`.
"""
