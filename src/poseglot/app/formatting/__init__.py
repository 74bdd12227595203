"""Text for terminals and Markdown pages that commands print or write."""
