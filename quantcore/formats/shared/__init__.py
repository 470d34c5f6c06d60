"""What formats of two or more families use; it knows none of them.

Searches run over `lanes`, with the importance of `weighted`: `symmetric` and `affine` are those of
the K formats, which the simple ones take too where there is an importance matrix. `scales` and
`sub_scales` belong to super-blocks, `spans` to formats outside GGUF, where a scale covers a tensor,
a row or a group.
"""
