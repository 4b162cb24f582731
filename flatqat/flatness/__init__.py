"""Estimators of the flatness of a loss around given weights, one per file.

They know nothing of models or data. `Params = dict[str, Tensor]` are named tensors, and
`LossFn = Callable[[Params], Tensor]` maps them to a scalar loss. Every estimator takes
`losses: Sequence[LossFn]`, one per chunk of the data with equal weight: the loss that is measured is their
mean, and only one chunk's graph has to fit in memory. The caller decides at which weights to measure
(quantized or latent) and on which examples, puts BatchNorm in eval mode, and disables TF32 on CUDA, whose
errors of 1e-3 are as large as the tolerances here. `progress(done, total)` is called after each step.
"""
