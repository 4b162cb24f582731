"""Methods, one per file. A method trains and never rounds; the quantizer rounds and never trains."""
