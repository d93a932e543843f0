"""Images: how a source is described, what of it is copied, and how a copy is requested and compared."""
