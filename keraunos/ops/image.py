"""Public `keras.ops.image`: images resized, moved, cut up and recolored."""
