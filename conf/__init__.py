"""The settings files of the command lines, read by hydra."""
