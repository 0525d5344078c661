"""The task: a corpus, its features, a motion tokenizer and a head, and the ways to open one."""
