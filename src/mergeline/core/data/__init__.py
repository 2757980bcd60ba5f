"""Snapshots of tables: what they hold, how they differ, and what is wrong with a drop.

All of it works on what is known about rows, never on the rows: the tables' adapter reads those.

The files in the order of a drop's life:

- `first_contract`: the contract that a first drop suggests, for a person to finish.
- `violations`: why a drop is refused: where it breaks its contract, and how often.
- `snapshot`: which drops under which contract, and the files of a table that hold them.
- `history`: the versions of a table, as people read them.
- `profile`: a summary of each column that merges with others; `hyperloglog` counts distinct values.
- `drift`: how far the values of some rows are from those of others.
- `diff`: what differs between two snapshots; `wording` puts it in sentences.
- `garbage`: files of a table that no pinned snapshot needs.

Example::

    diff = diff_snapshots("flights", compared, labels={"late"})
    drift_lines(diff)   # ("dep_delay: PSI 0.31, Kolmogorov-Smirnov p < 0.001; median −2 → 9",)

HyperLogLog and the summaries' merging are our own because a summary must be the same bytes on every
run and machine: it is stored in the table and read by later versions. Kept libraries were tried:
the KLL sketch of Apache DataSketches differs from run to run, and has no wheel for Python 3.14.

May import `core.declare` and `core.numbers`; numpy; scipy inside functions only.
"""
