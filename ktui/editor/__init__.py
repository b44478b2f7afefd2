"""What the policy editor can do beside typing: completion, help, find, merge, the hand-off to $EDITOR."""
