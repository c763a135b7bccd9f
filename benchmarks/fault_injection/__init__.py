"""Commands disturbed at one file operation: killed there, or told that the disk is full or broken."""
