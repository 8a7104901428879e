"""What is learned from: synthesis, training, checkpoints."""
