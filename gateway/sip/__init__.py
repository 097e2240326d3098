"""Core: SIP messages, transactions, dialogs, as bytes in and bytes out. Pure; imports model, phone, errors."""
