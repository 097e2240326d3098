"""Door: text to speech and recorded prompts, rendered once to 8 kHz and cached by content."""
