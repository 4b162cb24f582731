"""The report as one HTML file: tables, plots and cells, made from stored results alone."""
