"""Reading content without a model: words and their families, likeness, documents. What the text engines share."""
