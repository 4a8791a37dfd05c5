"""Reads a paper's standing: signs that it is no paid bill (void, refund, estimate, ...)."""
