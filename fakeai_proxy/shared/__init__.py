"""What the processes of one service have in common, and how they tell each other."""
