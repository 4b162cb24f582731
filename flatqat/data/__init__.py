"""From files to batches: layouts on disk, decoding, labeled images, augmentation, live corruptions."""
