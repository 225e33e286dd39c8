"""The report of a finished run: figures, tables and one page."""
