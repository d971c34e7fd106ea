"""The agent on a Raspberry Pi; installs alone, without anything heavy."""
