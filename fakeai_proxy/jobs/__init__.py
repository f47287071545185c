"""Has jobs run: who works on which row, for how long, and how a job asks."""
