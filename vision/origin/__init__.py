"""Signs that a picture file shows of its own origin, each a separate fact.

`vision.origin.signs` looks for all of them; what the file's metadata hold is read by `vision.decode`.
"""
