"""Renderers of a report: Markdown, HTML, terminal, plots."""
