"""Results for the eye: tables, pictures, comparisons."""
