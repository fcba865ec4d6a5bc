"""A store as one page to send: findings, figures, galleries and tables, as HTML or as Markdown with pictures."""
