"""What processes must agree on: bytes, hashes, signatures and messages. Pure: no I/O, no clock.

`docs/protocol.md` is the human page of this package; the files in `docs/vectors/` are its examples.
"""
