"""What runs leave on the disk: files written atomically, checkpoints, run folders. The ground of this package."""
