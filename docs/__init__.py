"""Pages, and what draws and reads for them."""
