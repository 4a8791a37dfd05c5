"""How recorded strings are read, and said again in words of the reader's language; one file for what they are about."""
