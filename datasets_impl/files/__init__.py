"""Files: where they are, which are pictures, and how they are written without loss."""
