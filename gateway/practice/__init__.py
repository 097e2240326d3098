"""A far end to practise on, a process of its own: Twilio's wire and a SIP phone. Imports sip, media, phone, errors."""
