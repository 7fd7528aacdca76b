"""Methods that read where attention goes and never look at the score: the same map whatever the text says."""
