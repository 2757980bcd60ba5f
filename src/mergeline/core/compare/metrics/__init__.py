"""Metrics by scikit-learn's names and definitions, by what they are made of.

What a metric is made of decides how the interval of a difference is found:

- `means`: a mean over rows (log loss, absolute error). Each row's difference is its influence.
- `ranks`: made of ranks (ROC AUC, average precision). Each row's influence by its place.
- `ratios`: a function of sums over rows (accuracy, recall, F1, R²). The influence by the gradient.
- `sklearn_scorers`: any other scorer of scikit-learn, and a project's own functions. Scored again
  on each resample.
- `catalogue`: finds the kind by the declared name, and gives a `Metric`: how to measure a sample,
  and how to make the interval of a difference of two. Read it first.

A new metric in closed form is a function in one of the first three files and a line in the table
at its end; a test holds each against scikit-learn.

Example::

    metric = metric_of(MetricChoice("neg_log_loss"), model)
    one, other = metric.sample(rows, candidate), metric.sample(rows, champion)
    metric.difference(rows, one, other, 0.95)    # Interval(estimate=-0.013, low=…, high=…)

May import `compare.result`, `compare.arrays`, `compare.intervals` and what those may import.
"""
