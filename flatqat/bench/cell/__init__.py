"""One cell: the images it sees, its stored model, and the machine that computes it."""
