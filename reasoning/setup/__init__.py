"""From settings to objects: schema, settings, recipes, weights with their header."""
