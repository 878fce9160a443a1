"""The revisions, in order; each is changed no more once it is released."""
