"""Quantized models as files: grids as data, ONNX graphs, packed codes."""
