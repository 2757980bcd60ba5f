"""The report: the verdict and its evidence, for a person and for a machine.

The last step of an evaluation. It takes a comparison and the gate's judgement as plain data and
says what they mean; it measures nothing and decides nothing. Its files, in the order in which they
work:

- `content`: `Report`, everything that can be shown, as plain data; it is what `report.json` holds.
- `view`: `View`, a report that has models to compare, and its curves. A failed report has no view,
  nor has a change that changes no model: each renderer has a short path for these at its top.
- `safe`: makes text harmless; names and messages come from whoever wrote the pull request.
- `tables`: the metrics, the slices and the costs of the models as rows of text.
- `sentences`: what the models do, in sentences: the headline, the rows compared, who is hurt.
- `context`: what stands around the verdict, in sentences: what changed, whether the bar moved,
  what merging does, what was evaluated, and when.
- `render`: lays the same rows and sentences out as Markdown, HTML, for the terminal and as JSON.
- `one_comment`: which comment of a pull request is the report, and how exactly one remains.

For example, to show a report that somebody left as JSON:

    from mergeline.core.report.content import read_report
    from mergeline.core.report.render.markdown import to_markdown

    report = read_report(text, where="report.json")
    print(to_markdown(report))

It may import every other room of `core`, and no room imports it. Reading a report and showing it as
Markdown must stay possible without any library of models, since the job that comments on a pull
request loads none.
"""
