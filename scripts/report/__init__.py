"""Numbers -> words, tables, figures and the page."""
