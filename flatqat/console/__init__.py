"""Output to the terminal: tables that fit its width, and progress with an ETA."""
