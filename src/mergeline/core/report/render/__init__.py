"""Renderers: one report, laid out in several forms.

A renderer is a function that takes a `Report` and returns text. `formats` lists them by name. To
add one: write a file in this folder, and add it to `formats.RENDERERS`. A renderer decides about
layout only; its rows and sentences come from `core.report.tables`, `.sentences` and `.context`, and
every text that it shows passes through `core.report.safe`.

- `markdown`: the comment on a pull request. `gfm` has the pieces of GitHub's Markdown, `mermaid`
  the curves as diagrams, `fitting` shortens a report that is longer than a comment may be.
- `html`: the full page, with the template `report.html.j2`.
- `terminal`: one screen.
- `plots`: the curves, the calibration, the decisions and the intervals as SVG; `svg` draws,
  `forest` chooses the intervals (and draws them as text for Markdown).

For example:

    from mergeline.core.report.render.formats import RENDERERS

    page = RENDERERS["html"](report)

The SVG is drawn by us and not by matplotlib: its images have no themes, so that one file cannot
follow the reader's light or dark page as ours does by CSS classes; its bytes differ from version
to version; and importing it takes longer than everything that the report does.

A renderer may import all of `core.report`, jinja2 and rich, and not another renderer.
"""
