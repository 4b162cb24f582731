"""From what the user requests to the list of cells to run, checked before anything is computed."""
