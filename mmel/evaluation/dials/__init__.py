"""Turning the dials of MMEL: the search, how far readings are apart, and how far a gate can go at all."""
