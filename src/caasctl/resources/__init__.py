"""Resource kinds: look, target, apply, undo."""
