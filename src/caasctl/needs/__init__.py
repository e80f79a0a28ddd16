"""What a node needs, by facts and profile: said once, for the checks that judge it and the phase that brings it."""
