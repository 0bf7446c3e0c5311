"""mmdebstrap: OCI images from Debian packages, without internet."""
