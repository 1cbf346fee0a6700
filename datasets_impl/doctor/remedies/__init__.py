"""What could help, and trials of it side by side with the user's own way, on the user's samples."""
