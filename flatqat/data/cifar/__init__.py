"""CIFAR-10 and CIFAR-100 in the layouts that people have, and their corrupted copies."""
