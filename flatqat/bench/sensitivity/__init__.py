"""Which layers cost accuracy at lower bits, on ID images and under shift, and bits for each of them."""
