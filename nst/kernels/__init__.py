"""Operations that are faster here than TensorFlow's own; each says by how much, and which line would replace it.

Figures are of whole steps, by `benchmarks/kernels.py` on two cores of an AMD EPYC with AVX512-BF16.
"""
