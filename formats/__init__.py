"""Tells which kind of file some bytes are, how large a picture they hold, and what it costs to decode.

Pure functions over the first bytes of a file: nothing here decodes, opens or imports anything but the standard library.
So the API's door and the decoder judge a file by the same rule, without the door loading a decoder.
"""
