"""Core: RTP, G.711, telephone events, audio levels. Pure; imports model, phone, errors."""
