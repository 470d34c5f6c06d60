"""IQ1, IQ2 and IQ3: runs of weights that are entries of a codebook.

They share codebooks, searches and readers, and nothing with IQ4, whose weights have codes of their
own: so these two are folders, though ggml calls all of them IQ.
"""
