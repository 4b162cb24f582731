"""From files to batches: layouts on disk, decoding, labelled images, augmentation, live corruptions."""
