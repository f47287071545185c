"""What is told about exchanges once they have ended."""
