"""System noise: the same images through another decoder, resize, color conversion or crop rounding.

Sources: Wang et al. 2023 (SysNoise, arXiv 2307.00280); Xiao et al. 2023 (RobustMQ, arXiv 2304.03968), whose
third kind of shift it is. All arithmetic of flatqat's own is on integers, so that every machine gets the same
bytes; only the decoders are those of a library.
"""
