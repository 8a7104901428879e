"""Points that drift to where others are: Bayesian coherent point drift of one or of several organs."""
