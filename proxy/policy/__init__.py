"""The policy file: text -> Document -> PolicyFile -> Plan -> Decision. Pure, and imports nothing of proxy."""
