"""Stored records as tables: text, Markdown, CSV, JSON and LaTeX."""
