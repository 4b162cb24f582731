"""Flatness of a loss around its weights: one estimator a file, each for plain functions of a dict of tensors.

A loss is `Loss = Callable[[Params], Tensor]` with `Params = dict[str, Tensor]`, and every estimator takes
`losses: Sequence[Loss]`, chunks of equal weight whose mean is the loss measured: big data is split so that
one chunk's graph fits in memory. Whoever builds the loss chooses the point (quantized or latent weights),
fixes the examples, puts BatchNorm in eval mode, and switches TF32 off on CUDA (its errors of 1e-3 are as
large as the tolerances here).
"""
