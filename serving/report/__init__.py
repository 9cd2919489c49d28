"""Usage reports on the store: `python -m serving.report day|week|month`.

- `formats`: a report as Markdown, CSV or JSON.
- `webhook`: sends a report to a webhook.
"""
