"""What the makers of a release run; not part of the package."""
