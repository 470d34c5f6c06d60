"""What AutoRound trains, and the slopes that it follows."""
