"""What the terminal shows: tables at its width, and progress with an ETA."""
