"""What people look at: progress while a run goes on, pictures of cells and of what a run found."""
