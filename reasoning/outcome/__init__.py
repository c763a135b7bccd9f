"""What came out: counts of answers and rules, explanations in words and pictures."""
