"""Encrypts what is kept of noses, so that a copy of the database identifies no animal and a row moved to another pet
does not open."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vision.errors import TemplateKeyMissing, TemplateUnreadable

KEY_BYTES_MIN = 32
_MAGIC = b"MPNS"
_FORMAT = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEADER = struct.Struct(f"<4sB4s{_NONCE_BYTES}s")  # magic, format, id of the key, nonce
OVERHEAD_BYTES = _HEADER.size + _TAG_BYTES


class TemplateSeal:
    """Seals with the first key (AES-256-GCM, a random nonce each time) and opens with any. Thread-safe.

    keys: at least 32 bytes each, newest first; without any, nothing can be sealed. Raises ValueError for a shorter key.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if any(len(key) < KEY_BYTES_MIN for key in keys):
            raise ValueError(f"a key for nose templates has at least {KEY_BYTES_MIN} bytes")
        self._ciphers = {_key_id(key): AESGCM(hashlib.sha256(b"miaopei nose\0" + key).digest()) for key in keys}
        self._first = _key_id(keys[0]) if keys else b""

    def seal(self, data: bytes, about: str) -> bytes:
        """Return `data` encrypted and bound to `about`, which `open` must be told again; 37 bytes longer.

        Raises TemplateKeyMissing without a key.
        """
        if not self._first:
            raise TemplateKeyMissing("no key to encrypt nose templates with: set MIAOPEI_NOSE_KEY or MIAOPEI_HOME")
        nonce = os.urandom(_NONCE_BYTES)
        header = _HEADER.pack(_MAGIC, _FORMAT, self._first, nonce)
        return header + self._ciphers[self._first].encrypt(nonce, data, header + about.encode())

    def open(self, data: bytes, about: str) -> bytes:
        """Return what was sealed about this pet. Templates of before encryption are returned as they are.

        Raises TemplateKeyMissing for a key that is not here, TemplateUnreadable for bytes that are damaged or another
        pet's.
        """
        if not data.startswith(_MAGIC):
            return data
        if len(data) < OVERHEAD_BYTES:
            raise TemplateUnreadable("sealed nose template is cut short")
        _, version, key, nonce = _HEADER.unpack_from(data)
        if version != _FORMAT:
            raise TemplateUnreadable(f"sealed nose template of format {version}, this program reads {_FORMAT}")
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise TemplateKeyMissing(
                f"nose template sealed with the key {key.hex()}, which is not among the configured"
            )
        try:
            return cipher.decrypt(nonce, data[_HEADER.size :], data[: _HEADER.size] + about.encode())
        except InvalidTag as error:
            raise TemplateUnreadable("sealed nose template is damaged or another pet's") from error


def is_sealed(data: bytes) -> bool:
    """Return True for bytes that `TemplateSeal.seal` made."""
    return data.startswith(_MAGIC)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"miaopei nose key\0" + key).digest()[:4]
