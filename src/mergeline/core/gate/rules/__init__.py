"""The gate's rules, one function each: from what is judged to reasons.

A rule says pass, fail or inconclusive of each thing that it looks at, with the numbers. It says
nothing where the gate does not ask for it. Most rules cannot be switched off.

- `absolute`: the candidate by itself: fit predictions, values within bounds, ceilings, leaks, age.
- `relative`: the candidate beside the champion or the base: margins, the primary metric, columns.
- `slices`: both kinds of bars, on each slice of the rows.

`gate.judge` lists the rules in the order in which their reasons are told. A new rule is a function
here, a line in that list and a row in docs/verdict.md, which a test holds against the code.

Example::

    def too_slow(judged: Judged) -> Iterator[Reason]:
        yield Reason("latency", "fail", "one row's prediction takes 61 ms, at most 50 ms …")

May import `gate.subject`, `gate.verdict` and what those may import; `slices` uses the other two.
"""
