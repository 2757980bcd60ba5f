"""Compare models on the same rows, with the uncertainty of each difference (laws 3 and 4).

Candidate, champion, base and reference score the candidate's holdout. Rows that any of them was
trained on are left out for all. docs/verdict.md says what each number means and where its formula
is from.

The files in the order of the step:

- `result`: the data. `Holdout` and `Scored` go in and hold arrays, `Comparison` comes out.
- `arrays`: rows, predictions and parts of rows, on which metrics are measured.
- `prepare`: from what was handed in to such arrays, and what is wrong with it.
- `metrics/`: the value of each metric, and what each row adds to it.
- `intervals`: the interval of a paired difference, in closed form or by resampling.
- `differences`: the metrics of several models on the same rows, and how they differ.
- `slices`, `curves`: the same by slice; calibration, confusion, flips, ROC curves beside it.
- `unfit`: what makes a holdout or a candidate unfit, whatever the gate says.
- `comparison`: `compare` calls all of these.

Beside the way: `attribution` splits a difference into the data's part and the rest's,
`holdout_changes` says how a change moves its holdout, `label_leaks` finds columns that give the
label away, and `digits` says with how many digits a difference is shown.

Example::

    scored = {"candidate": Scored(digest, [0.2, 0.9]), "champion": Scored(digest, [0.4, 0.6])}
    compare(holdout, scored, model).metric("roc_auc").differences["champion"]
    # Difference(estimate=0.009, low=0.006, high=0.012, outcome="better", …)

May import `core.declare` and `core.numbers`; numpy and scipy; scikit-learn inside functions only.
"""
