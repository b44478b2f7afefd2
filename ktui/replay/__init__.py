"""`ktui replay`: the whole screen over what has been, from an exported file or a state directory."""
