"""Data stages beside datatrove and trafilatura."""
