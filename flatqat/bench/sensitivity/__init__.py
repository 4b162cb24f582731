"""Which layers cost accuracy at lower bits, in clear weather and under shift, and bits for each of them."""
