"""Above the app: the whole product on one machine, as processes of its own, against the practice far end."""
