"""Doctor: symptom rules over what programs said, and which of the things that are wrong is the cause of the others."""
