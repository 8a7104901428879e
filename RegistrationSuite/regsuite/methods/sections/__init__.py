"""Sections found in an atlas: by an encoder, and by mutual information."""
