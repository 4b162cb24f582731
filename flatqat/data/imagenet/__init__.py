"""ImageNet, and the datasets made to test models of its 1,000 classes. Nothing is downloaded."""
