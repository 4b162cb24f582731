"""CIFAR-10 and CIFAR-100 in their usual layouts, and their corrupted copies."""
