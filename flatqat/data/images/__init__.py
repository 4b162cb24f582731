"""Images as they are on disk: decoding, label maps, transforms, and checks. No torch at import."""
