"""Roads to the phone network. A carrier translates; it never retries, paces or stores."""
