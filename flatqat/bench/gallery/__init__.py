"""Pictures of segmentation cells: images, ground truth and predictions side by side."""
