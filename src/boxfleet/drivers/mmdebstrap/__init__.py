"""mmdebstrap: OCI images from Debian packages, without internet.

Belongs here: from a recipe to an archive, and keeping it. Does not: loading images, or what a recipe may say.
"""
