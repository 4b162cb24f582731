"""What the steps of a run share: the session, and the images and the stored model of a cell."""
