"""PMFs before they are a Scene: made less sure, completed, checked."""
