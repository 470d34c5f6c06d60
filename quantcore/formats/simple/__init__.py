"""Q4_0 to Q8_0, ggml's first formats: blocks of 32 weights with a scale, in `_1` a minimum too."""
