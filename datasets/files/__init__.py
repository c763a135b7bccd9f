"""The published forms of files, shards, and the cache of generated puzzles."""
