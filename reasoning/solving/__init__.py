"""From pictures to an answer and its reasons: what is doubtful about them, words, JSON, a picture."""
