"""The figure as one web page that loads nothing.

- `page`: its data and its file, from the template `page.html`, which holds its script.
- `mesh`: the head as the script reads it.
"""
