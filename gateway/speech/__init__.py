"""Door: text to speech and recorded prompts, rendered once to 8 kHz and cached by content.

`prompts.Prompts` is the way in. Engines run in worker processes of their own (`tts`, `worker`, `engines`); what a
text means is read by the pure part (`spoken`, `reading`, `wording`, `numerals`, `sentences`). May import media.
"""
