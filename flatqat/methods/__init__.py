"""Training rules: one a file. A rule trains and never rounds; the quantizer rounds and never trains."""
