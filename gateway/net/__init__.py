"""Door: sockets: HTTP client, SIP endpoint, RTP engine."""
